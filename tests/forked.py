"""`rectok`, `dvc`, `dagster`, `dg` and `pytest` that start at once: forked from a process that has imported torch and the like.

To import them takes longer than a stage does on tiny data. What runs is the caller's code all the same (its PYTHONPATH,
else this repository), in a process of its own, with the caller's arguments, folder, environment, files and signals.
The processes among which pytest-xdist divides the tests come from here, too.
"""

import os
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

FOLDER = "RECTOK_FORKED"
"""The variable by which a test run passes the folder of its commands on."""
SERVER = Path(__file__).with_name("fork_server.py")
PROGRAMS = ("rectok", "dvc", "dagster", "dg", "pytest")
HERE = (
    "-u -c import sys;exec(eval(sys.stdin.readline()))", "-m rectok.cli.main", "-u -m rectok.cli.main",
    "-P -m rectok.pipeline.status", "-m dagster", "-m torch.distributed.run", "-m deepspeed.launcher.runner",
    "-u -m deepspeed.launcher.launch", "-c import deepspeed", "-c import gc; gc.disable(); import deepspeed", "-c import timm",
    *(f"{flags}-c from multiprocessing.spawn import" for flags in ("", "-P ", "-B -P ")),
)  # fmt: skip
"""How the arguments of a `python` begin that runs here as well."""
# Asks the server for a process with these arguments, hands signals on, and ends as that process did.
# It imports no module that is not part of the interpreter, which would double its time.
CLIENT = """#!{python} -SE
import _signal, _socket, marshal, posix, sys
def is_open(number):
    try:
        return posix.fstat(number)
    except OSError:  # that folder
        pass
files = [number for number in map(int, posix.listdir("/proc/self/fd")) if is_open(number)]
server = _socket.socket(_socket.AF_UNIX)
server.connect({address!r})
call = marshal.dumps(([sys.argv[0].rpartition("/")[2], *sys.argv[1:]], posix.getcwd(), posix.environ, files))
numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in files)
server.sendmsg([len(call).to_bytes(8, "little")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)])
server.sendall(call)
for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
    _signal.signal(number, lambda received, _: server.send(bytes([received])))
answer = server.recv(4, _socket.MSG_WAITALL)
code = int.from_bytes(answer, "little", signed=True) if answer else 1
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    posix.kill(posix.getpid(), -code)
sys.exit(code)
"""
PYTHON = """#!/bin/sh
case "$*" in - | {here}) exec "{folder}/module" "$@";; esac
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
    # -P: the folder of that file is no place for imports.
    command = [sys.executable, "-P", str(SERVER), folder, str(os.getpid())]
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
