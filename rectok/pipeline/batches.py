"""Runs many shards of one stage in one process, and records them together."""

import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rectok.pipeline.graph import Stage
from rectok.pipeline.process import RESULTS, ChildProcess, Finished, until_free
from rectok.pipeline.recording import Held, Recorder

Say = Callable[[str], None]
RECORD_EVERY = 60.0
"""Seconds after which what has ended is recorded while the others still run, so that a kill loses no more than that."""
PROGRESS_EVERY = 10.0
"""Seconds between two lines about the rate."""


@dataclass
class Progress:
    """How fast the stages of a batch end."""

    noun: str
    total: int
    began: float
    spoke: float = 0.0

    def line(self, done: int, now: float) -> str:
        """Done, left and per second; empty where the last line is not old enough."""
        if now - max(self.spoke, self.began) < PROGRESS_EVERY:
            return ""
        self.spoke, rate = now, done / (now - self.began)
        left = f", {(self.total - done) / rate:.0f} s left" if rate else ""
        return f"{self.noun}: {done} of {self.total} done, {rate:.1f} per second{left}"


class Batches:
    """Brings groups of stages with one noun up to date, each group in one process; `say` gets their lines.

    `variables` are those of the environment for a stage. `stopped` and `children` are shared with the runner of single stages.
    """

    def __init__(
        self, recorder: Recorder, say: Say, variables: Callable[[Stage], Mapping[str, str]], stopped: threading.Event,
        children: set[ChildProcess],
    ) -> None:  # fmt: skip
        self.recorder, self.say, self.variables = recorder, say, variables
        self.stopped, self.children = stopped, children

    def run(self, stages: Sequence[Stage]) -> Collection[str]:
        """Bring `stages` up to date, in this order; the addresses of those that failed or did not begin after a failure."""
        failed: list[str] = []

        def attempt() -> Finished:
            try:
                with self.recorder.holding(stages):
                    failed[:] = self._bring_up_to_date(stages)
                return Finished((), 0, ())
            except Held as error:
                return Finished((), 1, [str(error)])

        if (last := until_free(attempt, lambda pause: self._wait(stages[0].noun, pause))).code:
            self.say(f"{stages[0].noun}: {last.reason}")
            return [stage.address for stage in stages]
        return failed

    def _wait(self, noun: str, pause: float) -> bool:
        self.say(f"{noun}: another DVC process holds one of its files; trying again in {pause:.0f} s")
        return not self.stopped.wait(pause)

    def _bring_up_to_date(self, stages: Sequence[Stage]) -> list[str]:
        prepared = self.recorder.prepare(stages)
        self._say_group(prepared.unchanged, "did not change")
        self._say_group(prepared.restored, "taken from the run cache")
        if not prepared.to_run:
            return []
        began, done = time.monotonic(), self._run(prepared.to_run)
        seconds = time.monotonic() - began
        self._say_group(prepared.to_run[:done], f"done in {seconds:.1f} s")
        self._say_group(prepared.to_run[done:][:1], f"failed after {seconds:.1f} s")
        return [stage.address for stage in prepared.to_run[done:][:1]]

    def _say_group(self, stages: Sequence[Stage], words: str) -> None:
        if len(stages) == 1:
            self.say(f"{stages[0].address}: {words}")
        elif stages:
            self.say(f"{stages[0].noun}: {len(stages)} stages {words}")

    def _run(self, stages: Sequence[Stage]) -> int:
        """Run the stages in one process; how many ended well, which are the first ones, and are recorded."""
        with tempfile.NamedTemporaryFile(prefix="rectok-") as results:
            batch = _Batch(self.recorder, self.say, stages, Path(results.name))
            words = stages[0].command.split()[:-1]
            items = [stage.item or "" for stage in stages]
            child = ChildProcess((*words, *items), Path.cwd(), {**self.variables(stages[0]), RESULTS: results.name})
            self.children.add(child)
            try:
                if self.stopped.is_set():  # meanwhile
                    child.interrupt()
                for line in child.lines():
                    batch.take(line)
            finally:
                self.children.discard(child)
                batch.record()
            return batch.recorded


class _Batch:
    """What is known of a running batch: `prefix` is the stage whose lines come now."""

    def __init__(self, recorder: Recorder, say: Say, stages: Sequence[Stage], results: Path) -> None:
        self.recorder, self.say, self.stages, self.results = recorder, say, stages, results
        self.addresses = {stage.address for stage in stages}
        self.prefix = stages[0].address
        self.recorded, self.last = 0, time.monotonic()
        self.progress = Progress(stages[0].noun, len(stages), self.last)

    def take(self, line: str) -> None:
        """Pass a line of the process on; record now and then what has ended."""
        if line in self.addresses:
            self.prefix = line
            if text := self.progress.line(self._done(), time.monotonic()):
                self.say(text)
        else:
            self.say(f"{self.prefix}: {line}")
        if time.monotonic() - self.last > RECORD_EVERY:
            self.record()

    def record(self) -> None:
        """Record what has ended since the last time."""
        done = self._done()
        self.recorder.record(self.stages[self.recorded : done])
        self.recorded, self.last = done, time.monotonic()

    def _done(self) -> int:
        return len(self.results.read_text(encoding="utf-8").splitlines())
