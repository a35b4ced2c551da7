"""`rectok`, `dvc`, `dagster`, `dg` and `pytest` that start at once: forked from a process that has imported torch and the like.

To import them takes longer than a stage does on tiny data. What runs is the caller's code all the same (its PYTHONPATH,
else this repository), in a process of its own, with the caller's arguments, folder, environment, files and signals.
The processes among which pytest-xdist divides the tests come from here, too.
"""

import ctypes
import fcntl
import gc
import hashlib
import importlib
import json
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
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache, partialmethod
from importlib.machinery import PathFinder
from itertools import dropwhile
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from jinja2 import Environment, FileSystemBytecodeCache
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]
FOLDER = "RECTOK_FORKED"
"""The variable by which a test run passes the folder of its commands on."""
REAL = sys.executable
IMPORTED = (
    "torch", "torch._dynamo", "torchvision", "timm.optim", "deepspeed.runtime.zero.muon.muon_optimizer", "torch_fidelity",
    "torchmetrics.image", "safetensors.numpy", "safetensors.torch", "pandas", "pandera.pandas",
    "pandera.backends.pandas.builtin_checks", "pyarrow.parquet", "great_expectations", "configobj", "dvc.repo.datasets",
    "sklearn.linear_model", "matplotlib.figure", "matplotlib.backends.backend_svg", "PIL.Image", "PIL.ImageCms", "pydantic",
    "ruamel.yaml", "typer", "rich.progress", "boto3", "networkx", "dulwich.index", "dulwich.worktree", "dvc_render",
    "dvc_data.hashfile.db.local", "dvc_data.hashfile.status", "dvc.cli.parser", "dvc.api", "dvc.cachemgr", "dvc.data_cloud",
    "dvc.repo.index", "dvc.repo.open_repo", "dvc.repo.plots", "dvc.repo.stage", "fsspec.implementations.memory",
)  # fmt: skip
PYTEST_PLUGINS = ("anyio", "hydra", "hypothesis", "_hypothesis_globals", "platformdirs", "typeguard")
"""Libraries that are plugins of pytest besides."""
OURS = ("rectok", "orchestration")
DAGSTER = (
    "dagster._cli", "dagster_pipes", "dagster_webserver.cli", "dagster._daemon.cli", "dagster_graphql", "dagster_dg_cli.cli",
    "orchestration.loading",
)  # fmt: skip
"""Imported before the first command of Dagster, or the first process of pytest-xdist: most tests need none."""
SET: dict[str, str] = {}
"""Variables that were set by what was imported."""
PROGRAMS = {
    "rectok": "rectok.cli.main",
    "dvc": "dvc.cli",
    "dagster": "dagster._cli",
    "dg": "dagster_dg_cli.cli",
    "pytest": "pytest",
}
XDIST = "-u -c import sys;exec(eval(sys.stdin.readline()))"
HERE = (
    XDIST, "-m rectok.cli.main", "-u -m rectok.cli.main", "-P -m rectok.pipeline.status", "-m dagster",
    "-m torch.distributed.run", "-m deepspeed.launcher.runner", "-u -m deepspeed.launcher.launch",
    *(f"{flags}-c from multiprocessing.spawn import" for flags in ("", "-P ", "-B -P ")),
)  # fmt: skip
"""How the arguments of a `python` begin that runs here as well."""
# Asks the server for a process with these arguments, hands signals on, and ends as that process did.
CLIENT = """#!{python} -SE
import json, os, signal, socket, struct, sys
files = [number for number in range(100) if os.path.exists(f"/proc/self/fd/{{number}}")]
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps([[os.path.basename(sys.argv[0]), *sys.argv[1:]], os.getcwd(), dict(os.environ), files]).encode()
    socket.send_fds(server, [struct.pack("Q", len(call))], files)
    server.sendall(call)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: server.send(bytes([received])))
    code = struct.unpack("i", server.recv(4, socket.MSG_WAITALL))[0]
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
PYTHON = """#!/bin/sh
case "$*" in {here}) exec "{folder}/module" "$@";; esac
exec "{python}" "$@"
"""


@lru_cache
def commands() -> str:
    """The folder that holds these commands, for the front of a PATH. All processes of one test run share their server."""
    if folder := os.environ.get(FOLDER):
        return folder
    folder = os.environ[FOLDER] = tempfile.mkdtemp(prefix="forked-")
    address = Path(folder) / "socket"
    for name in (*PROGRAMS, "module"):
        _write(Path(folder) / name, CLIENT.format(python=sys.executable, address=str(address)))
    here = "|".join(f'"{words}"*' for words in HERE)
    _write(Path(folder) / "python", PYTHON.format(here=here, folder=folder, python=sys.executable))
    # -P: the folder of this file is no place for imports.
    command = [sys.executable, "-P", __file__, folder, str(os.getpid())]
    server = os.posix_spawn(command[0], command, os.environ, setsid=True)
    while not address.exists():
        assert os.waitpid(server, os.WNOHANG) == (0, 0), "the server could not start"
        time.sleep(0.1)
    return folder


def _write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def path() -> str:
    """A PATH with these commands first, then the others of this environment."""
    return os.pathsep.join([commands(), str(Path(sys.executable).parent), os.environ["PATH"]])


def serve(folder: Path, owner: int) -> None:
    """Answer callers until the process `owner` ends."""
    before = dict(os.environ)
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.executable = str(folder / "python")  # so that what the commands start comes from here, too
    _import(IMPORTED)
    for name in PYTEST_PLUGINS:  # pytest cannot rewrite them any more, and says so if they do not forbid it
        importlib.import_module(name).__doc__ = "PYTEST_DONT_REWRITE"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _import(module.name for module in pkgutil.walk_packages([str(REPOSITORY / "rectok")], "rectok."))
    _read_yaml_once(folder)
    compiled = FileSystemBytecodeCache(str(folder))
    Environment.__init__ = partialmethod(Environment.__init__, bytecode_cache=compiled)  # type: ignore[method-assign,assignment]
    SET.update({name: value for name, value in os.environ.items() if before.get(name) != value})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how an answer ended
    over = os.pidfd_open(owner)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.new"))
        server.listen(64)
        (folder / "socket.new").rename(folder / "socket")
        while over not in select.select([server, over], [], [])[0]:
            connection, _ = server.accept()
            try:
                size, files, _, _ = socket.recv_fds(connection, 8, 100)
                call = json.loads(connection.recv(struct.unpack("Q", size)[0], socket.MSG_WAITALL))
            except (OSError, ValueError, struct.error):  # the caller was killed before it had asked
                connection.close()
                continue
            if " ".join(call[0][1:]) == XDIST or _is_dagster(call[0]):
                _import(DAGSTER)
            if os.fork() == 0:
                server.close()
                _answer(connection, call, files)
                os._exit(0)
            for file in (connection.detach(), *files):
                os.close(file)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # libraries report what nobody collects any more


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


def _answer(connection: socket.socket, call: list[Any], files: list[int]) -> None:
    """Run one call in a further process; pass signals to it, and tell the caller how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        _enter_namespaces(*struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))
        connection.close()
        _run(*call, files)
    with suppress(OSError):
        os.setpgid(child, child)
    for file in files:
        os.close(file)
    over = os.pidfd_open(child)
    while over not in select.select([connection, over], [], [])[0]:
        numbers = b""
        with suppress(ConnectionError):
            numbers = connection.recv(16)
        if not numbers:  # the caller is gone, as when it was killed
            os.kill(child, signal.SIGKILL)
            break
        for number in numbers:
            # Who stops a `dvc` means its stage, too, and sends the signal to their process group.
            os.kill(-child if call[0][0] == "dvc" else child, number)
    ended = os.waitpid(child, 0)
    with suppress(ConnectionError):
        connection.sendall(struct.pack("i", os.waitstatus_to_exitcode(ended[1])))


def _enter_namespaces(caller: int, *_: int) -> None:
    """Those of the process `caller`, which may be on a machine of its own (tests/train/machines.py)."""
    for kind in ("net", "mnt"):
        there = Path(f"/proc/{caller}/ns/{kind}")
        if there.readlink() != Path(f"/proc/self/ns/{kind}").readlink():
            with there.open() as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0


def _run(
    command: list[str], folder: str, environment: dict[str, str], numbers: list[int], files: list[int]
) -> NoReturn:
    with suppress(OSError):  # whoever comes first, this process or the one that answers
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
    os.environ.clear()
    os.environ.update(SET | environment)
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
    if " ".join(arguments) == XDIST:
        sys.executable = REAL
    _take_callers_code()
    kind, what, *rest = dropwhile(lambda word: word in ("-B", "-P", "-u"), arguments)
    sys.argv = [what if kind == "-m" else kind, *rest]
    if kind == "-c":
        exec(what, {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    return 0


def _take_callers_code() -> None:
    """Import our code anew where the caller does not mean this repository's."""
    here = PathFinder.find_spec("rectok")
    if here is None or here.origin != sys.modules["rectok"].__file__:
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
