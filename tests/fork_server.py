"""The server behind the commands of tests/forked.py: it imports everything once and forks a process for each command."""

import ctypes
import fcntl
import gc
import hashlib
import importlib
import marshal
import multiprocessing
import os
import pickle
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partialmethod
from importlib.machinery import PathFinder
from itertools import dropwhile
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from jinja2 import Environment, FileSystemBytecodeCache
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]
REAL = sys.executable
IMPORTED = (
    "torch", "torch._dynamo", "torchvision", "timm.optim", "deepspeed.runtime.zero.muon.muon_optimizer", "torch_fidelity",
    "torchmetrics.image", "safetensors.numpy", "safetensors.torch", "pandas", "pandera.pandas",
    "pandera.backends.pandas.builtin_checks", "pyarrow.parquet", "great_expectations", "configobj", "dvc.repo.datasets",
    "sklearn.linear_model", "matplotlib.figure", "matplotlib.backends.backend_svg", "PIL.Image", "PIL.ImageCms", "pydantic",
    "ruamel.yaml", "typer", "rich.progress", "boto3", "networkx", "dulwich.index", "dulwich.worktree", "dvc_render",
    "dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "dvc.cli.parser", "dvc.api", "dvc.cachemgr", "dvc.data_cloud",
    "dvc.repo.index", "dvc.repo.open_repo", "dvc.repo.plots", "dvc.repo.stage", "fsspec.implementations.memory",
    "torch.distributed.launcher.api", "torch.distributed.elastic.rendezvous.c10d_rendezvous_backend",
)  # fmt: skip
PYTEST_PLUGINS = ("anyio", "hydra", "hypothesis", "_hypothesis_globals", "platformdirs", "typeguard")
"""Libraries that are plugins of pytest besides."""
OURS = ("rectok", "orchestration")
DAGSTER = (
    "dagster._cli", "dagster_pipes", "dagster_webserver.cli", "dagster._daemon.cli", "dagster_graphql", "dagster_dg_cli.cli",
    "orchestration.loading", "orchestration.storage", "dagster._core.definitions.antlr_asset_selection.antlr_asset_selection",
    "dagster._core.storage.sqlite_storage", "upath.implementations.local", "watchdog.observers.polling",
)  # fmt: skip
"""Imported before the first command of Dagster, or the first process of pytest-xdist: most tests need none."""
HUGE = 1 << 21
"""Bytes of a huge page."""
PR_SET_NAME = 15
"""prctl(2): what `ps -o comm` shows of a process."""
MADV_COLLAPSE = 25
"""Of linux/mman.h."""
SET: dict[str, str] = {}
"""Variables that were set by what was imported."""
PROGRAMS = {
    "rectok": "rectok.cli.main",
    "dvc": "dvc.cli",
    "dagster": "dagster._cli",
    "dg": "dagster_dg_cli.cli",
    "pytest": "pytest",
}


@dataclass(frozen=True)
class Call:
    """A caller, and the process that runs its command."""

    connection: socket.socket
    program: str
    process: int

    def pass_signals(self) -> bool:
        """Send the process the signals that its caller received. False: the caller is gone, and so is the process."""
        numbers = b""
        with suppress(ConnectionError):
            numbers = self.connection.recv(16)
        with suppress(ProcessLookupError):
            for number in numbers or [signal.SIGKILL]:
                # Who stops a `dvc` means its stage, too, and sends the signal to their process group.
                os.kill(-self.process if numbers and self.program == "dvc" else self.process, number)
        return bool(numbers)

    def end(self) -> None:
        """Tell the caller how the process ended."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        with suppress(ConnectionError):
            self.connection.sendall(code.to_bytes(4, "little", signed=True))
        self.connection.close()


def serve(folder: Path, owner: int) -> None:
    """Answer callers until the process `owner` ends."""
    _prepare(folder)
    over = os.pidfd_open(owner)
    callers: dict[socket.socket, Call] = {}
    ends: dict[int, Call] = {}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.new"))
        server.listen(64)
        (folder / "socket.new").rename(folder / "socket")
        while over not in (ready := select.select([server, over, *callers, *ends], [], [])[0]):
            for each in ready:
                if each is server:
                    if call := _accept(server, [server, over, *callers, *ends]):
                        callers[call.connection] = ends[os.pidfd_open(call.process)] = call
                elif each in ends:
                    call = ends.pop(each)
                    callers.pop(call.connection, None)
                    call.end()
                    os.close(each)
                elif each in callers and not callers[each].pass_signals():
                    del callers[each]
    for call in ends.values():
        os.kill(call.process, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # libraries report what nobody collects any more


def _prepare(folder: Path) -> None:
    """Import everything, in pages that a fork copies quickly."""
    before = dict(os.environ)
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.executable = str(folder / "python")  # so that what the commands start comes from here, too
    _import(IMPORTED)
    for name in PYTEST_PLUGINS:  # pytest cannot rewrite them any more, and says so if they do not forbid it
        importlib.import_module(name).__doc__ = "PYTEST_DONT_REWRITE"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _import(module.name for module in pkgutil.walk_packages([str(REPOSITORY / "rectok")], "rectok."))
    # torchrun's own way, inspect.stack, looks through all modules for each of its 300 frames: 3 s with these ten thousand.
    rendezvous: Any = importlib.import_module("torch.distributed.elastic.rendezvous.dynamic_rendezvous")
    rendezvous.get_method_name = lambda depth=2: sys._getframe(depth).f_code.co_name
    _read_yaml_once(folder)
    presets = sys.modules["rectok.params"]
    for name in presets.preset_names():  # most tests begin with one
        presets.parse(presets.preset_text(name), name)
    compiled = FileSystemBytecodeCache(str(folder))
    Environment.__init__ = partialmethod(Environment.__init__, bytecode_cache=compiled)  # type: ignore[method-assign,assignment]
    SET.update({name: value for name, value in os.environ.items() if before.get(name) != value})
    _use_huge_pages()


def _use_huge_pages() -> None:
    """Let a few huge pages replace 200 000 small ones, whose table takes longer to copy than many a command takes to run.

    Where the kernel cannot do it, forks take longer, and nothing else changes.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, mode, _, _, file, *name = line.split()
        if mode == "rw-p" and file == "0" and name in ([], ["[heap]"]):
            begin, end = (int(address, 16) // HUGE for address in addresses.split("-"))
            for page in range(begin + 1, end):
                madvise(page * HUGE, HUGE, MADV_COLLAPSE)


def _accept(server: socket.socket, ours: list[socket.socket | int]) -> Call | None:
    """Run what the next caller asks for in a process that shares none of `ours`."""
    connection, _ = server.accept()
    try:
        size, files, _, _ = socket.recv_fds(connection, 8, 100)
        command, *rest = marshal.loads(connection.recv(int.from_bytes(size, "little"), socket.MSG_WAITALL))
    except (OSError, ValueError, EOFError, TypeError):  # the caller was killed before it had asked
        connection.close()
        return None
    if _is_worker(command) or _is_dagster(command):
        _import(DAGSTER)
        # Between two looks at the backfills; no setting of dagster.yaml shortens these 30 seconds.
        sys.modules["dagster._daemon.controller"].DEFAULT_DAEMON_INTERVAL_SECONDS = 2  # type: ignore[attr-defined]
    process = os.fork()
    if process == 0:
        for each in ours:
            os.close(each if isinstance(each, int) else each.detach())
        _enter_namespaces(*struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))
        connection.close()
        _run(command, *rest, files)
    with suppress(OSError):  # whoever comes first, this process or that one
        os.setpgid(process, process)
    for file in files:
        os.close(file)
    return Call(connection, command[0], process)


def _is_worker(command: list[str]) -> bool:
    """Whether this is a process among which pytest-xdist divides the tests."""
    return command[1:3] == ["-u", "-c"]


def rank_name(rank: int) -> str:
    """The name of the process that runs here as this rank of a stage: /proc shows the server's arguments and environment."""
    return f"rectok rank {rank}"


def _is_dagster(command: list[str]) -> bool:
    return command[0] == "dg" or any("dagster" in word for word in command[:3])


def _import(names: Iterable[str]) -> None:
    gc.disable()
    sys.path.insert(0, str(REPOSITORY))
    for name in names:
        importlib.import_module(name)
    del sys.path[0]
    gc.freeze()  # no process looks through all this again
    gc.enable()


def _read_yaml_once(folder: Path) -> None:
    """Keep what plain YAML says by its text in `folder`: to read it takes longer than many a stage, and each reads the same."""
    read = YAML.load

    def load(self: YAML, stream: Any) -> Any:
        if self.typ != ["safe"] or not isinstance(stream, str):
            return read(self, stream)
        known = folder / hashlib.sha256(stream.encode(errors="surrogatepass")).hexdigest()
        with suppress(OSError):
            return pickle.loads(known.read_bytes())
        tree = read(self, stream)
        with suppress(OSError):
            (written := folder / f"{os.getpid()}-{threading.get_ident()}").write_bytes(pickle.dumps(tree))
            written.replace(known)
        return tree

    YAML.load = load  # type: ignore[method-assign]


def _enter_namespaces(caller: int, *_: int) -> None:
    """Those of the process `caller`, which may be on a machine of its own (tests/train/machines.py)."""
    for kind in ("net", "mnt"):
        there = Path(f"/proc/{caller}/ns/{kind}")
        if there.readlink() != Path(f"/proc/self/ns/{kind}").readlink():
            with there.open() as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0


def _run(
    command: list[str], folder: str, variables: dict[bytes, bytes], numbers: list[int], files: list[int]
) -> NoReturn:
    with suppress(OSError):
        os.setpgid(0, 0)
    high = [fcntl.fcntl(file, fcntl.F_DUPFD, 100) for file in files]  # out of the way of the caller's numbers
    for file in files:
        os.close(file)
    for number, file in zip(numbers, high, strict=True):
        os.dup2(file, number)
        os.close(file)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.chdir(folder)
    environment = {os.fsdecode(name): os.fsdecode(value) for name, value in variables.items()}
    os.environ.clear()
    os.environ.update(SET | environment)
    if "OMP_NUM_THREADS" in environment:  # torch has read the server's long ago
        importlib.import_module("torch").set_num_threads(int(environment["OMP_NUM_THREADS"]))
    if "rectok.cli.main" in command and "RANK" in environment:
        ctypes.CDLL(None).prctl(PR_SET_NAME, rank_name(int(environment["RANK"])).encode())
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code: Any = 0
    try:
        code = _call(*command)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if isinstance(code, str):
        print(code, file=sys.stderr, flush=True)
    os._exit(code if isinstance(code, int) else 1)


def _call(program: str, *arguments: str) -> Any:
    """What a program's script does, or `python` with these arguments for the program `module`. Its exit code."""
    sys.modules["__main__"] = ModuleType("__main__")  # its own processes must not begin with this file
    multiprocessing.set_executable(
        sys.executable if _is_dagster([program, *arguments]) else REAL
    )  # Dagster's runs come from here, too
    if program != "module":
        sys.argv = [program, *arguments]
        _take_callers_code()
        return importlib.import_module(PROGRAMS[program]).main() or 0
    if "-P" not in arguments[:2]:
        sys.path.insert(0, str(Path.cwd()))
    if _is_worker([program, *arguments]):
        sys.executable = REAL
    _take_callers_code()
    kind, *rest = dropwhile(lambda word: word in ("-B", "-P", "-u"), arguments)
    what = sys.stdin.read() if kind == "-" else rest.pop(0)
    sys.argv = [what if kind == "-m" else kind, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})
    return 0


def _take_callers_code() -> None:
    """Import our code anew where the caller does not mean this repository's."""
    here = PathFinder.find_spec("rectok")
    if here is None or here.origin != sys.modules["rectok"].__file__:
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
