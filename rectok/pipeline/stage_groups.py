"""Brings groups of stages up to date: an engine runs them, and they are recorded together."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from rectok.pipeline.graph import Stage
from rectok.pipeline.process import Finished, until_free
from rectok.pipeline.recording import Held, Recorder

RECORD_EVERY = 60.0
"""Seconds after which what has ended is recorded while the others still run, so that a kill loses no more than that."""
Say = Callable[[str], None]
Record = Callable[[Sequence[Stage]], None]
"""Records stages that have ended well; each call writes dvc.lock."""


class Engine(Protocol):
    """Runs the commands of stages."""

    def run(self, stages: Sequence[Stage], record: Record) -> Sequence[Stage]:
        """Run all of `stages`, which have one noun; those that ended well, all of which it has recorded."""

    def resume(self, stages: Sequence[Stage], record: Record) -> None:
        """Wait for those of `stages` that an earlier head process has started and that still run; record what ended well."""


class StageGroups:
    """Brings groups of stages with one noun up to date, each by `engine`; `say` gets their lines."""

    def __init__(self, recorder: Recorder, engine: Engine, say: Say, stopped: threading.Event) -> None:
        self.recorder, self.engine, self.say, self.stopped = recorder, engine, say, stopped

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

        if (last := until_free(attempt, lambda pause: self.wait(stages[0].noun, pause))).code:
            self.say(f"{stages[0].noun}: {last.reason}")
            return [stage.address for stage in stages]
        return failed

    def wait(self, name: str, pause: float) -> bool:
        """Say why the stages `name` wait, and wait `pause` seconds; False where the run is stopped meanwhile."""
        self.say(f"{name}: another DVC process holds one of its files; trying again in {pause:.0f} s")
        return not self.stopped.wait(pause)

    def _bring_up_to_date(self, stages: Sequence[Stage]) -> list[str]:
        self.recorder.begin(stages)
        self.engine.resume(stages, self.recorder.record)
        prepared = self.recorder.prepare(stages)
        self._say_group(prepared.unchanged, "did not change")
        self._say_group(prepared.restored, "taken from the run cache")
        if not prepared.to_run:
            return []
        began, done = time.monotonic(), self.engine.run(prepared.to_run, self.recorder.record)
        seconds = time.monotonic() - began
        failed = [stage for stage in prepared.to_run if stage not in done][:1]  # the others may not have begun
        self._say_group(done, f"done in {seconds:.1f} s")
        self._say_group(failed, f"failed after {seconds:.1f} s")
        return [stage.address for stage in failed]

    def _say_group(self, stages: Sequence[Stage], words: str) -> None:
        if len(stages) == 1:
            self.say(f"{stages[0].address}: {words}")
        elif stages:
            self.say(f"{stages[0].noun}: {len(stages)} stages {words}")
