"""Runs stages as soon as all that they need is there, each by `dvc repro` of that stage alone."""

import sys
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
from rectok.pipeline.process import Group, command_environment

Say = Callable[[str], None]
BUSY = "is busy, it is being blocked by"
"""How DVC says that another of its processes holds a file of this stage; for the repository's lock it can wait."""
PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two attempts at a file that is held: the first, doubled each time, and the last."""
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
    """Run every one of `stages`, after all that it needs; the addresses of those that failed.

    `run` says whether a stage succeeded. After a failure nothing new starts, and what runs goes on to its end. Interrupted, or
    where `run` raises, it calls `stop`, which is to end what runs, and waits for that; interrupted meanwhile, it calls it again.
    """
    line, crew = _Line(stages, limits), _Crew(run)
    failed: list[str] = []
    with _stopping(stop, crew):
        while True:
            while not failed and (stage := line.next(crew.running)):
                crew.start(stage)
            if not crew.running:
                assert failed or not line.stages, "stages are left that never found a place"
                return sorted(failed)
            for address, succeeded in crew.ended():
                if succeeded:
                    line.done.add(address)
                else:
                    failed.append(address)


class _Crew:
    """A thread for every stage that runs.

    Who asks may be interrupted by KeyboardInterrupt anywhere and leaves no lock behind that a thread waits for, as
    concurrent.futures.wait would: the queue is made for that.
    """

    def __init__(self, run: Callable[[Stage], bool]) -> None:
        self.run = run
        self._threads: dict[str, tuple[Stage, Thread]] = {}
        self._results: dict[str, bool | BaseException] = {}
        self._news: SimpleQueue[None] = SimpleQueue()

    @property
    def running(self) -> list[Stage]:
        """The stages whose end has not been told."""
        return [stage for stage, _ in self._threads.values()]

    def start(self, stage: Stage) -> None:
        """Run `stage` in a thread."""
        thread = Thread(target=self._work, args=(stage,))
        self._threads[stage.address] = (stage, thread)
        thread.start()

    def ended(self) -> list[tuple[str, bool]]:
        """Wait for news, then the stages that have ended and whether they succeeded; raises what `run` raised."""
        self._news.get()
        found = [(address, self._results[address]) for address in self._threads if address in self._results]
        for address, result in found:
            del self._threads[address]
            if isinstance(result, BaseException):
                raise result
        return [(address, result is True) for address, result in found]

    def wait(self) -> None:
        """Until nothing runs."""
        for _, thread in list(self._threads.values()):
            if thread.is_alive():  # an interruption may have kept it from starting
                thread.join()

    def _work(self, stage: Stage) -> None:
        try:
            self._results[stage.address] = self.run(stage)
        except BaseException as error:
            self._results[stage.address] = error
        self._news.put(None)


class _Line:
    """Stages that have not started, those first for which the longest chain of others waits, of equal ones as they are given."""

    def __init__(self, stages: Mapping[str, Stage], limits: Limits) -> None:
        chains = depths(stages)
        self.stages = sorted(stages.values(), key=lambda stage: -chains[stage.address])
        self.urgent, self.needs = longest_chain(stages), all_needs(stages)
        self.limits = limits
        self.done: set[str] = set()

    def next(self, running: Collection[Stage]) -> Stage | None:
        """Take the first that may start beside `running`."""
        if len(running) >= self.limits.jobs:
            return None
        for place, stage in enumerate(self.stages):
            if stage.needs <= self.done and (not stage.pool or self._has_place(stage, running)):
                return self.stages.pop(place)
        return None

    def _has_place(self, stage: Stage, running: Collection[Stage]) -> bool:
        """Whether its pool takes `stage` too.

        Of several places one is left free for the stages of the longest chain, so that one of them always finds a place; not
        for those that wait for `stage` themselves.
        """
        free = self.limits.pooled - sum(other.pool == stage.pool for other in running)
        if stage.address in self.urgent or self.limits.pooled == 1 or free != 1:
            return free > 0
        if any(other.pool == stage.pool and other.address in self.urgent for other in running):
            return True
        coming = (other for other in self.stages if other.pool == stage.pool and other.address in self.urgent)
        return all(stage.address in self.needs[other.address] for other in coming)


@contextmanager
def _stopping(stop: Callable[[], None], crew: _Crew) -> Iterator[None]:
    try:
        yield
    except BaseException:
        while True:
            with suppress(KeyboardInterrupt):  # it may come at any time; then stop once more
                stop()
                crew.wait()
                break
        raise


class Repro:
    """Brings single stages up to date by DVC; `say` is told what they print, line by line.

    On a GPU that an MPS server shares out, all but the `urgent` stages yield to others.
    """

    def __init__(self, say: Say, urgent: Collection[str]) -> None:
        self.say = say
        self.urgent = urgent
        self.stopped = threading.Event()
        self.groups: set[Group] = set()

    def run(self, stage: Stage) -> bool:
        """Bring `stage` up to date; whether that succeeded. It is tried again as long as another DVC process is in its way."""
        pause, began = PAUSE, time.monotonic()
        while not self.stopped.is_set():
            code, last = self._once(stage.address)
            took = time.monotonic() - began
            if not code:
                self.say(f"{stage.address}: done in {took:.1f} s")
                return True
            if not any(BUSY in line for line in last):
                self.say(f"{stage.address}: failed after {took:.1f} s")
                return False
            self.say(f"{stage.address}: another DVC process holds one of its files; trying again in {pause:.0f} s")
            self.stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return False

    def stop(self) -> None:
        """Ask all that run to end, as Ctrl-C does: a training writes its checkpoint first. Called again, kill them."""
        again = self.stopped.is_set()
        self.stopped.set()
        for group in list(self.groups):
            if again:
                group.kill()
            else:
                group.interrupt()
        self.say(
            "killed what had not ended"
            if again
            else "stopping; trainings write their checkpoints first, and Ctrl-C once more kills them"
        )

    def _once(self, address: str) -> tuple[int, list[str]]:
        last: deque[str] = deque(maxlen=LAST_LINES)
        command = (sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", address)
        environment = command_environment() | ({} if address in self.urgent else YIELDING)
        group = Group(command, Path.cwd(), environment)
        self.groups.add(group)
        try:
            if self.stopped.is_set():  # meanwhile
                group.interrupt()
            for line in group.lines():
                last.append(line)
                self.say(f"{address}: {line}")
        finally:
            self.groups.discard(group)
        return group.code, list(last)
