"""Runs the stages of a group one after the other in one process of this machine."""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from rectok.pipeline.failed_tasks import LAST_LINES, remember_failure
from rectok.pipeline.graph import Stage
from rectok.pipeline.process import RESULTS, ChildProcess, Children
from rectok.pipeline.rate import Rate
from rectok.pipeline.stage_groups import RECORD_EVERY, Record, Say


class LocalEngine:
    """One process per group. `variables` are those of the environment for a stage.

    `children` are shared with the runner of single stages.
    """

    def __init__(self, say: Say, variables: Callable[[Stage], Mapping[str, str]], children: Children) -> None:
        self.say, self.variables, self.children = say, variables, children

    def resume(self, _stages: Sequence[Stage], _record: Record) -> None:
        """Nothing: a process ends with the one that started it."""

    def run(self, stages: Sequence[Stage], record: Record) -> Sequence[Stage]:
        """Run `stages` until one fails; those that ended well."""
        with tempfile.NamedTemporaryFile(prefix="rectok-") as results:
            batch = _Batch(record, self.say, stages, Path(results.name))
            words = stages[0].command.split()[:-1]
            items = [stage.item or "" for stage in stages]
            child = ChildProcess((*words, *items), Path.cwd(), {**self.variables(stages[0]), RESULTS: results.name})
            try:
                for line in self.children.lines(child):
                    batch.take(line)
            finally:
                batch.record()
            if batch.recorded < len(stages) and not self.children.stopped.is_set():
                remember_failure(stages[batch.recorded].address, list(batch.last_lines))
            return stages[: batch.recorded]


class _Batch:
    """What is known of a running batch: `prefix` is the stage whose lines come now."""

    def __init__(self, record: Record, say: Say, stages: Sequence[Stage], results: Path) -> None:
        self.write, self.say, self.stages, self.results = record, say, stages, results
        self.addresses = {stage.address for stage in stages}
        self.prefix = stages[0].address
        self.recorded, self.last = 0, time.monotonic()
        self.rate = Rate(stages[0].noun, len(stages), self.last)
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)

    def take(self, line: str) -> None:
        """Pass a line of the process on; record now and then what has ended."""
        if line in self.addresses:
            self.prefix = line
            self.last_lines.clear()
            if text := self.rate.line(self._done(), time.monotonic()):
                self.say(text)
        else:
            self.last_lines.append(line)
            self.say(f"{self.prefix}: {line}")
        if time.monotonic() - self.last > RECORD_EVERY:
            self.record()

    def record(self) -> None:
        """Record what has ended since the last time."""
        done = self._done()
        if done > self.recorded:
            self.write(self.stages[self.recorded : done])
        self.recorded, self.last = done, time.monotonic()

    def _done(self) -> int:
        """How many of the first stages have ended; several GPUs end theirs in any order."""
        made = set(self.results.read_text(encoding="utf-8").splitlines())
        ended = (stage.address in made for stage in self.stages)
        return sum(1 for _ in takewhile(bool, ended))
