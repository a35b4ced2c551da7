"""Child processes: the environment of every command, a process group that can be stopped as a whole, and why a command failed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import IO, Any

from rectok.lifetime import ending_with_parent

DVC = ("dvc", "--wait-for-lock")
"""Waits for the repository's lock. The locks of single files are others: see `BUSY`."""
BUSY = "is busy, it is being blocked by"
"""DVC's words when another of its processes holds a file of the stage."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two attempts at a file that is held. Each pause is twice the one before."""
RESULTS = "RECTOK_RESULTS"
"""The variable that names the file into which a stage's command writes the address of each stage that it has made."""
_FAILED_AT = re.compile(r"failed to reproduce '([^']+)'|^rectok: (\S+) failed; its message stands above")
# `rectok repro` puts the stage before each line of a stage, and ends with a sentence of its own.
_RECTOK = re.compile(r"(?:\S+: )?rectok: (?!.* failed; its message stands above)(.*)")
_DVC = re.compile(r"(?:\S+: )?ERROR: (.*)")
_PAINT = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Finished:
    """A command that ended: its exit code, and its last lines."""

    command: Sequence[str]
    code: int
    lines: Sequence[str]

    @property
    def reason(self) -> str:
        """The line that says best why it failed: the first sentence of rectok, else DVC's error, else the last line."""
        for pattern in (_RECTOK, _DVC):
            for line in self.lines:
                if match := pattern.match(line):
                    return match[1]
        return self.lines[-1] if self.lines else "it said nothing"

    @property
    def busy(self) -> bool:
        """Whether it failed because another DVC process holds a file that it needs."""
        return self.code != 0 and any(BUSY in line for line in self.lines)

    @property
    def failed_at(self) -> str | None:
        """The stage at which `dvc repro` or `rectok repro` stopped; None where several failed."""
        stages = [match[1] or match[2] for line in self.lines if (match := _FAILED_AT.search(line))]
        return stages[-1] if self.code and stages else None


def is_error(line: str) -> bool:
    """Whether a command's line is an error of rectok or DVC."""
    return bool(_RECTOK.match(line) or _DVC.match(line))


def until_free(attempt: Callable[[], Finished], wait: Callable[[float], bool]) -> Finished:
    """The result of `attempt`, repeated while another DVC process holds its files, until `wait(seconds)` returns False."""
    pause = FIRST_PAUSE
    while (finished := attempt()).busy and wait(pause):
        pause = min(2 * pause, LONGEST_PAUSE)
    return finished


def child_environment() -> dict[str, str]:
    """This environment, in which `dvc` and `rectok` are found beside this Python, and output is not held back."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def run_to_end(
    command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `command` in this process's own group, so that Ctrl-C reaches it too. `options` are those of subprocess.run."""
    environment = child_environment() | dict(variables or {})
    return subprocess.run(command, cwd=folder, env=environment, text=True, check=False, **options)


class ChildProcess:
    """A running command with everything that it starts, in a process group of its own unless `own_group` is False.

    It ends with the thread that started it, so that no `dvc` outlives a Dagster process that was killed.
    It is over when nothing holds its output any more, so a training that outlives the `dvc` above it is still waited for.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None, own_group: bool = True
    ) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=child_environment() | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # two pipes would mix up the order of lines
            text=True,
            errors="replace",
            start_new_session=own_group,
            preexec_fn=ending_with_parent(signal.SIGKILL),  # no one else would stop it before the next run of its stage
        )
        assert self.process.stdout
        self._queue: Queue[str | None] = Queue()
        self._open, self._killed = True, False
        Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    @property
    def code(self) -> int:
        """The exit code of the command itself, which has ended."""
        return self.process.wait()

    def lines(self, until: float | None = None) -> Iterator[str]:
        """Lines of its output as they come, until the end or until the monotonic time `until`."""
        while self._open and not self._killed and (until is None or time.monotonic() < until):
            try:
                line = self._queue.get(timeout=0.2)
            except Empty:
                continue
            if line is None:
                self._open = False
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

        `dvc` ignores SIGINT while a stage runs, and then frees its locks; SIGTERM would end it and orphan the training.
        """
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End everything now, and do not wait for another process that still holds its output."""
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


class Children:
    """Commands that run side by side and are stopped together.

    `stopped` is set once they were asked to end, and `abandoned` once they were killed.
    """

    def __init__(self) -> None:
        self.stopped, self.abandoned = Event(), Event()
        self._running: set[ChildProcess] = set()

    def lines(self, child: ChildProcess) -> Iterator[str]:
        """Lines of `child` to its end; one that began while the others were stopped is asked to end, too."""
        self._running.add(child)
        try:
            if self.stopped.is_set():
                child.interrupt()
            yield from child.lines()
        finally:
            self._running.discard(child)

    def stop(self) -> None:
        """Ask all that run to end, as Ctrl-C does. A second call kills them."""
        if self.stopped.is_set():
            self.abandoned.set()
        self.stopped.set()
        for child in list(self._running):
            if self.abandoned.is_set():
                child.kill()
            else:
                child.interrupt()
