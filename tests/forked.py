"""`rectok`, `dvc` and `dagster` for tests that start at once: forked from a process that has imported torch and the like.

To import them takes longer than a stage does on tiny data. What runs is the caller's code all the same (its PYTHONPATH,
else this repository), in a process of its own, with the caller's arguments, folder, environment, files and signals.
"""

import fcntl
import importlib
import json
import multiprocessing
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from functools import lru_cache
from itertools import dropwhile
from pathlib import Path
from typing import Any, NoReturn

IMPORTED = (
    "torch", "torch._dynamo", "torchvision", "timm", "deepspeed", "torch_fidelity", "torchmetrics.image", "safetensors.torch",
    "pandas", "pandera.pandas", "pyarrow.parquet", "great_expectations", "sklearn.linear_model", "matplotlib.figure",
    "PIL.Image", "pydantic", "ruamel.yaml", "typer", "rich.progress", "boto3", "dvc.cli", "dvc.repo", "dvc.api",
)  # fmt: skip
DAGSTER = ("dagster._cli", "dagster_pipes", "dagster_webserver.cli", "dagster._daemon.cli", "dagster_graphql")
"""Imported before the first command of Dagster: most tests need none."""
PROGRAMS = {"rectok": "rectok.cli.main", "dvc": "dvc.cli", "dagster": "dagster._cli"}
HERE = (
    "-m rectok.cli.main", "-P -m rectok.pipeline.status", "-m dagster",
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
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = Path(tempfile.gettempdir()) / f"forked-{os.getuid()}-{owner}"
    address = folder / "socket"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        for name in (*PROGRAMS, "module"):
            _write(folder / name, CLIENT.format(python=sys.executable, address=str(address)))
        here = "|".join(f'"{words}"*' for words in HERE)
        _write(folder / "python", PYTHON.format(here=here, folder=folder, python=sys.executable))
        # -P: the folder of this file is no place for imports.
        command = [sys.executable, "-P", __file__, str(folder), str(owner)]
        os.posix_spawn(command[0], command, os.environ, setsid=True)
    deadline = time.monotonic() + 120
    while not address.exists():
        assert time.monotonic() < deadline, "the server could not start"
        time.sleep(0.1)
    return str(folder)


def _write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def path() -> str:
    """A PATH with these commands first, then the others of this environment."""
    return os.pathsep.join([commands(), str(Path(sys.executable).parent), os.environ["PATH"]])


def serve(folder: Path, owner: int) -> None:
    """Answer callers until the process `owner` ends."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.executable = str(folder / "python")  # so that what the commands start comes from here, too
    for name in IMPORTED:
        importlib.import_module(name)
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
            if any("dagster" in word for word in call[0][:3]):
                for name in DAGSTER:
                    importlib.import_module(name)
            if os.fork() == 0:
                server.close()
                _answer(connection, call, files)
                os._exit(0)
            for file in (connection.detach(), *files):
                os.close(file)
    shutil.rmtree(folder, ignore_errors=True)


def _answer(connection: socket.socket, call: list[Any], files: list[int]) -> None:
    """Run one call in a further process; pass signals to it, and tell the caller how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
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
    os.environ.update(environment)
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
    if any("dagster" in word for word in (program, *arguments[:2])):
        multiprocessing.set_executable(sys.executable)  # its runs come from here, too
    if program != "module":
        sys.argv = [program, *arguments]
        return importlib.import_module(PROGRAMS[program]).main() or 0
    if "-P" not in arguments[:2]:
        sys.path.insert(0, str(Path.cwd()))
    kind, what, *rest = dropwhile(lambda word: word in ("-B", "-P"), arguments)
    sys.argv = [what if kind == "-m" else kind, *rest]
    if kind == "-c":
        exec(what, {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
