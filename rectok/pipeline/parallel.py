"""Runs stages as soon as all that they need is there: shards in groups, others by `dvc repro` of that stage alone."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from rectok.pipeline.failed_tasks import LAST_LINES, remember_failure
from rectok.pipeline.graph import Stage, depths, longest_chain, with_needs
from rectok.pipeline.job_engine import JobEngine
from rectok.pipeline.jobs import Queue
from rectok.pipeline.local_engine import LocalEngine
from rectok.pipeline.process import DVC, ChildProcess, Children, Finished, until_free
from rectok.pipeline.recording import Recorder
from rectok.pipeline.stage_groups import Engine, StageGroups

Say = Callable[[str], None]
YIELDING = {"CUDA_MPS_CLIENT_PRIORITY": "1"}
"""Asks NVIDIA's MPS server to let the kernels of others go before those of such a process; a hint, and nothing elsewhere."""


@dataclass(frozen=True)
class Limits:
    """How many stages may run at once: `jobs` in all, and of them `pooled` in each pool.

    Where groups run `elsewhere`, they take no place here. Else there are as many groups of a stage's shards as places for them.
    """

    jobs: int
    pooled: int
    elsewhere: bool = False


Run = Callable[[Sequence[Stage]], Collection[str]]
"""Brings a group of stages up to date; returns the addresses of those that failed."""


def reproduce(
    stages: Mapping[str, Stage], limits: Limits, run: Run, stop: Callable[[], None], batchable: Collection[str] = ()
) -> list[str]:
    """Run every one of `stages` after all that it needs; the addresses of those that `run` returned.

    `run` gets one stage, or several ready ones of a noun that are `batchable`. After a failure nothing new starts. On each
    interruption, and where `run` raises, `stop` is called to end what runs.
    """
    ready, pool = _ReadyQueue(stages, limits, batchable), _ThreadPool(run)
    failed: list[str] = []
    with _stopping(stop, pool):
        while True:
            while not failed and (group := ready.take(pool.running.values())):
                pool.start(group)
            if not pool.running:
                assert failed or not ready.stages, "stages are left that never found a place"
                return sorted(failed)
            group, failures = pool.next_result()
            failed += failures
            if not failures:
                ready.done.update(stage.address for stage in group)


class _ThreadPool:
    """One thread per running group of stages, by its first stage.

    KeyboardInterrupt may come anywhere. A SimpleQueue survives that; concurrent.futures.wait would leave a lock behind.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.running: dict[str, Stage] = {}
        self._threads: list[Thread] = []
        self._results: SimpleQueue[tuple[Sequence[Stage], Collection[str] | BaseException]] = SimpleQueue()

    def start(self, group: Sequence[Stage]) -> None:
        """Run `group` in a thread."""
        thread = Thread(target=self._work, args=(group,))
        self.running[group[0].address] = group[0]
        self._threads.append(thread)
        thread.start()

    def next_result(self) -> tuple[Sequence[Stage], Collection[str]]:
        """Wait until a group ends: its stages, and which of them failed. Raises what `run` raised."""
        group, result = self._results.get()
        del self.running[group[0].address]
        if isinstance(result, BaseException):
            raise result
        return group, result

    def wait(self) -> None:
        """Wait until no thread runs."""
        for thread in self._threads:
            if thread.is_alive():  # an interruption may have kept it from starting
                thread.join()

    def _work(self, group: Sequence[Stage]) -> None:
        try:
            result: Collection[str] | BaseException = self.run(group)
        except BaseException as error:
            result = error
        self._results.put((group, result))


class _ReadyQueue:
    """Stages that have not started. Those with the longest chain of dependents come first, equal ones in the given order."""

    def __init__(self, stages: Mapping[str, Stage], limits: Limits, batchable: Collection[str]) -> None:
        chains = depths(stages)
        self.batchable = batchable
        self.stages = sorted(stages.values(), key=lambda stage: -chains[stage.address])
        self.all, self.urgent = stages, longest_chain(stages)
        self.limits = limits
        self.done: set[str] = set()

    def take(self, running: Collection[Stage]) -> Sequence[Stage]:
        """Remove and return the first that may start beside `running`, with those that share its process; empty if none may."""
        here = [stage for stage in running if not self._elsewhere(stage)]
        free = self.limits.jobs - len(here)
        for stage in self.stages:
            if stage.needs <= self.done and (self._elsewhere(stage) or (free > 0 and self._has_place(stage, here))):
                group = self._group(stage, free, here)
                taken = {each.address for each in group}
                self.stages = [each for each in self.stages if each.address not in taken]
                return group
        return ()

    def _elsewhere(self, stage: Stage) -> bool:
        return self.limits.elsewhere and stage.address in self.batchable

    def _group(self, first: Stage, free: int, running: Collection[Stage]) -> Sequence[Stage]:
        """`first`, and its part of the ready stages of its noun: as many parts as there are places for them."""
        if first.address not in self.batchable:
            return (first,)
        if first.pool and not self.limits.elsewhere:
            free = min(free, self.limits.pooled - sum(other.pool == first.pool for other in running))
        ready = [each for each in self.stages if each.noun == first.noun and each.address in self.batchable]
        ready = [each for each in ready if each.needs <= self.done]
        return ready if self.limits.elsewhere else ready[: ceil(len(ready) / free)]

    def _has_place(self, stage: Stage, running: Collection[Stage]) -> bool:
        """Whether its pool takes `stage` too.

        Of several places one stays free for stages of the longest chain, but not from stages that the chain itself waits for.
        """
        if not stage.pool:
            return True
        free = self.limits.pooled - sum(other.pool == stage.pool for other in running)
        if stage.address in self.urgent or self.limits.pooled == 1 or free != 1:
            return free > 0
        if any(other.pool == stage.pool and other.address in self.urgent for other in running):
            return True
        coming = (other for other in self.stages if other.pool == stage.pool and other.address in self.urgent)
        return all(stage.address in with_needs(self.all, [other.address]) for other in coming)


@contextmanager
def _stopping(stop: Callable[[], None], pool: _ThreadPool) -> Iterator[None]:
    try:
        yield
    except BaseException:
        while True:
            with suppress(KeyboardInterrupt):  # it may come at any time; then stop once more
                stop()
                pool.wait()
                break
        raise


class Repro:
    """Brings stages up to date by DVC; `say` gets their lines. Under MPS all but the `urgent` ones yield to others.

    Those that are `batchable` run in groups, here or as jobs of a cluster's `queue`, and are recorded by `recorder`.
    """

    def __init__(
        self,
        say: Say,
        urgent: Collection[str],
        recorder: Recorder,
        batchable: Collection[str],
        queue: Queue | None,
    ) -> None:
        self.say, self.urgent, self.batchable = say, urgent, batchable
        self.children = Children()
        engine: Engine = LocalEngine(say, self._variables, self.children)
        if queue:
            engine = JobEngine(queue, say, recorder.inputs, self.children.stopped, self.children.abandoned)
        self.groups = StageGroups(recorder, engine, say, self.children.stopped)

    def run(self, group: Sequence[Stage]) -> Collection[str]:
        """Bring the stages up to date; the addresses of those that failed.

        One that is not batchable is tried again while another DVC process holds a file of it.
        """
        if group[0].address in self.batchable:
            return self.groups.run(group)
        [stage] = group
        began = time.monotonic()
        finished = until_free(lambda: self._once(stage), lambda pause: self.groups.wait(stage.address, pause))
        if finished.code and not self.children.stopped.is_set():
            remember_failure(stage.address, finished.lines)
        outcome = "failed after" if finished.code else "done in"
        self.say(f"{stage.address}: {outcome} {time.monotonic() - began:.1f} s")
        return [stage.address] if finished.code else []

    def stop(self) -> None:
        """Ask all that run to end, as Ctrl-C does: a training writes its checkpoint first. A second call kills them."""
        self.children.stop()
        self.say(
            "killed what had not ended"
            if self.children.abandoned.is_set()
            else "stopping; trainings write their checkpoints first, and Ctrl-C once more kills them"
        )

    def _variables(self, stage: Stage) -> Mapping[str, str]:
        return {} if stage.address in self.urgent else YIELDING

    def _once(self, stage: Stage) -> Finished:
        command = (*DVC, "repro", "--single-item", stage.address)
        child = ChildProcess(command, Path.cwd(), self._variables(stage))
        last: deque[str] = deque(maxlen=LAST_LINES)
        for line in self.children.lines(child):
            last.append(line)
            self.say(f"{stage.address}: {line}")
        return Finished(command, child.code, list(last))
