"""Runs stages as soon as all that they need is there, each by `dvc repro` of that stage alone."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from rectok.pipeline.graph import Stage, all_needs, depths, longest_chain
from rectok.pipeline.process import DVC, ChildProcess, Finished, until_free

Say = Callable[[str], None]
LAST_LINES = 20
YIELDING = {"CUDA_MPS_CLIENT_PRIORITY": "1"}
"""Asks NVIDIA's MPS server to let the kernels of others go before those of such a process; a hint, and nothing elsewhere."""


@dataclass(frozen=True)
class Limits:
    """How many stages may run at once: `jobs` in all, and of them `pooled` in each pool."""

    jobs: int
    pooled: int


def reproduce(
    stages: Mapping[str, Stage], limits: Limits, run: Callable[[Stage], bool], stop: Callable[[], None]
) -> list[str]:
    """Run every one of `stages` after all that it needs; the addresses of those for which `run` returned False.

    After a failure nothing new starts. On each interruption, and where `run` raises, `stop` is called to end what runs.
    """
    ready, pool = _ReadyQueue(stages, limits), _ThreadPool(run)
    failed: list[str] = []
    with _stopping(stop, pool):
        while True:
            while not failed and (stage := ready.take(pool.running.values())):
                pool.start(stage)
            if not pool.running:
                assert failed or not ready.stages, "stages are left that never found a place"
                return sorted(failed)
            address, succeeded = pool.next_result()
            if succeeded:
                ready.done.add(address)
            else:
                failed.append(address)


class _ThreadPool:
    """One thread per running stage.

    KeyboardInterrupt may come anywhere. A SimpleQueue survives that; concurrent.futures.wait would leave a lock behind.
    """

    def __init__(self, run: Callable[[Stage], bool]) -> None:
        self.run = run
        self.running: dict[str, Stage] = {}
        self._threads: list[Thread] = []
        self._results: SimpleQueue[tuple[str, bool | BaseException]] = SimpleQueue()

    def start(self, stage: Stage) -> None:
        """Run `stage` in a thread."""
        thread = Thread(target=self._work, args=(stage,))
        self.running[stage.address] = stage
        self._threads.append(thread)
        thread.start()

    def next_result(self) -> tuple[str, bool]:
        """Wait until a stage ends: its address, and whether it succeeded. Raises what `run` raised."""
        address, result = self._results.get()
        del self.running[address]
        if isinstance(result, BaseException):
            raise result
        return address, result

    def wait(self) -> None:
        """Wait until no thread runs."""
        for thread in self._threads:
            if thread.is_alive():  # an interruption may have kept it from starting
                thread.join()

    def _work(self, stage: Stage) -> None:
        try:
            result: bool | BaseException = self.run(stage)
        except BaseException as error:
            result = error
        self._results.put((stage.address, result))


class _ReadyQueue:
    """Stages that have not started. Those with the longest chain of dependents come first, equal ones in the given order."""

    def __init__(self, stages: Mapping[str, Stage], limits: Limits) -> None:
        chains = depths(stages)
        self.stages = sorted(stages.values(), key=lambda stage: -chains[stage.address])
        self.urgent, self.needs = longest_chain(stages), all_needs(stages)
        self.limits = limits
        self.done: set[str] = set()

    def take(self, running: Collection[Stage]) -> Stage | None:
        """Remove and return the first that may start beside `running`."""
        if len(running) >= self.limits.jobs:
            return None
        for place, stage in enumerate(self.stages):
            if stage.needs <= self.done and (not stage.pool or self._has_place(stage, running)):
                return self.stages.pop(place)
        return None

    def _has_place(self, stage: Stage, running: Collection[Stage]) -> bool:
        """Whether its pool takes `stage` too.

        Of several places one stays free for stages of the longest chain, but not from stages that the chain itself waits for.
        """
        free = self.limits.pooled - sum(other.pool == stage.pool for other in running)
        if stage.address in self.urgent or self.limits.pooled == 1 or free != 1:
            return free > 0
        if any(other.pool == stage.pool and other.address in self.urgent for other in running):
            return True
        coming = (other for other in self.stages if other.pool == stage.pool and other.address in self.urgent)
        return all(stage.address in self.needs[other.address] for other in coming)


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
    """Brings single stages up to date by DVC; `say` gets their lines. Under MPS all but the `urgent` ones yield to others."""

    def __init__(self, say: Say, urgent: Collection[str]) -> None:
        self.say = say
        self.urgent = urgent
        self.stopped = threading.Event()
        self.children: set[ChildProcess] = set()

    def run(self, stage: Stage) -> bool:
        """Bring `stage` up to date; whether that succeeded. It is tried again while another DVC process holds a file of it."""
        began = time.monotonic()
        finished = until_free(lambda: self._once(stage.address), lambda pause: self._wait(stage.address, pause))
        outcome = "failed after" if finished.code else "done in"
        self.say(f"{stage.address}: {outcome} {time.monotonic() - began:.1f} s")
        return not finished.code

    def stop(self) -> None:
        """Ask all that run to end, as Ctrl-C does: a training writes its checkpoint first. A second call kills them."""
        again = self.stopped.is_set()
        self.stopped.set()
        for child in list(self.children):
            if again:
                child.kill()
            else:
                child.interrupt()
        self.say(
            "killed what had not ended"
            if again
            else "stopping; trainings write their checkpoints first, and Ctrl-C once more kills them"
        )

    def _wait(self, address: str, pause: float) -> bool:
        self.say(f"{address}: another DVC process holds one of its files; trying again in {pause:.0f} s")
        return not self.stopped.wait(pause)

    def _once(self, address: str) -> Finished:
        command = (*DVC, "repro", "--single-item", address)
        child = ChildProcess(command, Path.cwd(), {} if address in self.urgent else YIELDING)
        last: deque[str] = deque(maxlen=LAST_LINES)
        self.children.add(child)
        try:
            if self.stopped.is_set():  # meanwhile
                child.interrupt()
            for line in child.lines():
                last.append(line)
                self.say(f"{address}: {line}")
        finally:
            self.children.discard(child)
        return Finished(command, child.code, list(last))
