"""A command in a process group of its own, which can be read line by line and stopped as a whole."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

_PAINT = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Group:
    """A running command with everything that it starts.

    It is over when nothing holds its output any more, so a training that outlives the `dvc` above it is still waited for.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self.process.stdout and self.process.stderr
        self._queue: Queue[str | None] = Queue()
        self._open = 2
        self._killed = False
        for stream in (self.process.stdout, self.process.stderr):
            Thread(target=self._read, args=(stream,), daemon=True).start()

    @property
    def code(self) -> int:
        """The exit code of the command itself, which has ended."""
        return self.process.wait()

    def lines(self, until: float | None = None) -> Iterator[str]:
        """Lines of both outputs as they come, until the end or until the monotonic time `until`."""
        while self._open and not self._killed and (until is None or time.monotonic() < until):
            try:
                line = self._queue.get(timeout=0.2)
            except Empty:
                continue
            if line is None:
                self._open -= 1
            elif line:
                yield line

    def stop(self, grace: float) -> list[str]:
        """Interrupt, wait `grace` seconds, then kill what is left; the lines that came meanwhile."""
        self.interrupt()
        lines = list(self.lines(time.monotonic() + grace))
        if self._open:
            self.kill()
            lines.append(f"killed: it had not stopped after {grace:.0f} s")
        self.process.wait()
        return lines

    def interrupt(self) -> None:
        """Ask everything to stop, as Ctrl-C does.

        SIGINT and not SIGTERM: `dvc` ignores it while a stage runs, so it lives to see the stage end, and then gives its
        locks back; SIGTERM would end it at once and leave the training without a parent.
        """
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End everything now, and wait no longer for who still holds its output."""
        self._killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _read(self, stream: IO[str]) -> None:
        # Universal newlines also part the carriage returns of a progress bar.
        with stream:
            for line in stream:
                self._queue.put(_PAINT.sub("", line).rstrip())
        self._queue.put(None)


def command_environment() -> dict[str, str]:
    """Where `dvc` and `rectok` are found, and output that is not held back."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
