"""Ends a process that waits too long for the others, and says where: a hung collective would hold its machine for ever."""

import faulthandler
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread

import torch.distributed as dist

from rectok.artifacts import DATA
from rectok.errors import UserError

STACKS = DATA / "state" / "stacks"
GO_ON = "run the command again"
TRAINING_GOES_ON = ", and it goes on from the last checkpoint"


@dataclass(frozen=True)
class _Wait:
    """What a process does together with the others, and until when (monotonic seconds)."""

    what: str
    end: float


class Watchdog:
    """Watches what process `rank` of `size` does together with the others, which takes at most `seconds`.

    torch's own timeouts end a process of NCCL without a word, and those of gloo do not know the step.
    """

    def __init__(self, rank: int, size: int, seconds: float) -> None:
        self.rank, self.size, self.seconds = rank, size, seconds
        self.step: int | None = None  # of a training
        self._wait: _Wait | None = None
        Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Inside, the process waits for the others. Raises UserError where one of them is gone."""
        before, self._wait = self._wait, _Wait(what, time.monotonic() + self.seconds)
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self._place(what)} lost another one ({reason}); {self._remedy}") from error
        finally:
            self._wait = before

    def _place(self, what: str) -> str:
        step = "" if self.step is None else f"at step {self.step} "
        return f"process {self.rank} of {self.size}, {step}in {what},"

    @property
    def _remedy(self) -> str:
        return GO_ON if self.step is None else GO_ON + TRAINING_GOES_ON

    def _watch(self) -> None:
        while (wait := self._wait) is None or time.monotonic() < wait.end:
            time.sleep(min(1.0, self.seconds / 10))
        stacks = STACKS / f"rank-{self.rank}.txt"
        stacks.parent.mkdir(parents=True, exist_ok=True)
        with stacks.open("w") as file:
            faulthandler.dump_traceback(file)
        sys.stderr.write(
            f"rectok: {self._place(wait.what)} waited {self.seconds:.0f} s for the others (machine.timeout); one of them is dead "
            f"or hangs; the stacks of this one are in {stacks}; {self._remedy}\n"
        )
        sys.stderr.flush()
        os._exit(1)  # the main thread may wait inside a library for ever
