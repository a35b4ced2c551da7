"""Stages whose command is a script, and an engine that runs them as jobs in a thread."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread

from rectok.pipeline.graph import Stage
from rectok.pipeline.job_engine import JobEngine
from rectok.pipeline.jobs import Queue

# As `rectok shards 0 1`: it leaves the address of each item that it has made.
COMMAND = """#!/bin/sh
trap 'echo checkpoint >> ended; exit 143' TERM
env > environment
for item in "$@"; do
  echo "$item begins"
  [ -e "$item.fails" ] && { echo "rectok: no room for $item"; exit 3; }
  while [ -e "$item.waits" ]; do touch "$item.runs"; sleep 0.02; done
  echo "$item" >> made
  echo "shards@$item" >> "$RECTOK_RESULTS"
done
"""


def stages(*items: str, outs: tuple[str, ...] = ()) -> Sequence[Stage]:
    """Shards that are made in the current folder."""
    script = Path("command")
    script.write_text(COMMAND)
    script.chmod(0o755)
    return [Stage(f"shards@{item}", frozenset(), command=f"./command {item}", outs=outs) for item in items]


class Head:
    """A head process: `lines` are what it says, `recorded` what it records, `result` what ended well or the error."""

    def __init__(self, queue: Queue) -> None:
        self.lines: list[str] = []
        self.recorded: list[str] = []
        self.result: Sequence[Stage] | BaseException = ()
        self.stopped = Event()
        self.engine = JobEngine(queue, self.lines.append, lambda stage: "read", self.stopped, Event())
        self._thread = Thread()

    def start(self, group: Sequence[Stage]) -> "Head":
        """As `rectok repro` does it: take over what is left behind, then run the rest."""
        self._thread = Thread(target=self._work, args=(group,))
        self._thread.start()
        return self

    def wait(self) -> Sequence[str]:
        """The addresses of the stages that ended well. Raises what the engine raised."""
        self._thread.join(60)
        if isinstance(self.result, BaseException):
            raise self.result
        return sorted(self.recorded)

    def _work(self, group: Sequence[Stage]) -> None:
        def record(ended: Sequence[Stage]) -> None:
            self.recorded += [stage.address for stage in ended]

        try:
            self.engine.resume(group, record)
            left = [stage for stage in group if stage.address not in self.recorded]
            self.result = self.engine.run(left, record) if left else ()
        except BaseException as error:
            self.result = error


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it never came, only {sorted(Path().iterdir())}"
        time.sleep(0.02)
