"""A `rectok` for tests that starts at once: forked from a process in which torch and the like are imported already.

To import them takes longer than a stage does on tiny data. What runs is the caller's code all the same (its PYTHONPATH,
else this repository), in a process of its own, with the caller's arguments, folder, environment, files and signals.
"""

import atexit
import importlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

IMPORTED = (
    "torch", "torch._dynamo", "torchvision", "timm", "deepspeed", "torch_fidelity", "torchmetrics.image", "safetensors.torch",
    "pandas", "pandera.pandas", "pyarrow.parquet", "great_expectations", "sklearn.linear_model", "matplotlib.figure",
    "PIL.Image", "pydantic", "ruamel.yaml", "typer", "rich.progress", "boto3",
)  # fmt: skip
# Given the arguments of `rectok`, asks the server for a process, hands signals on, and ends as that process did.
CLIENT = """#!{python} -SE
import json, os, signal, socket, struct, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [struct.pack("Q", len(call))], [0, 1, 2])
    server.sendall(call)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: server.send(bytes([received])))
    code = struct.unpack("i", server.recv(4, socket.MSG_WAITALL))[0]
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@lru_cache
def commands() -> str:
    """The folder that holds this `rectok`, for the front of a PATH. The server ends with the process that asked first."""
    folder = Path(tempfile.mkdtemp(prefix="forked-"))
    address, client = folder / "socket", folder / "rectok"
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    # -P: the folder of this file is no place for imports.
    server = subprocess.Popen([sys.executable, "-P", __file__, str(address)], stdin=subprocess.PIPE)
    atexit.register(server.kill)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    while not address.exists():
        assert server.poll() is None, "the server could not start"
        time.sleep(0.1)
    return str(folder)


def path() -> str:
    """A PATH with this `rectok` first, then the other commands of this environment."""
    return os.pathsep.join([commands(), str(Path(sys.executable).parent), os.environ["PATH"]])


def serve(address: str) -> None:
    """Answer callers at `address` until standard input ends."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how an answer ended
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{address}.new")
        server.listen(16)
        Path(f"{address}.new").rename(address)
        while sys.stdin.fileno() not in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _answer(connection)
                os._exit(0)
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Run one call in a further process; pass signals to it, and tell the caller how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    call = json.loads(connection.recv(struct.unpack("Q", size)[0], socket.MSG_WAITALL))
    child = os.fork()
    if child == 0:
        connection.close()
        _run(*call, files)
    for file in files:
        os.close(file)
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if select.select([connection], [], [], 0.02)[0]:
            # Nothing to read: the caller is gone, as when it was killed.
            for number in connection.recv(16) or [signal.SIGKILL]:
                os.kill(child, number)
    with suppress(BrokenPipeError):
        connection.sendall(struct.pack("i", os.waitstatus_to_exitcode(ended[1])))


def _run(arguments: list[str], folder: str, environment: dict[str, str], files: list[int]) -> NoReturn:
    for number, file in enumerate(files):
        os.dup2(file, number)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["rectok", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code: Any = 0
    try:
        importlib.import_module("rectok.cli.main").main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
