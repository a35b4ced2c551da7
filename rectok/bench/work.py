"""One timing of the bench: what it needs, how it is taken, and time and memory of its device."""

import gc
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import torch

from rectok.bench.profiling import Marks, Profile, kernels
from rectok.params import Params
from rectok.train.learner import Mark, unmarked
from rectok.train.world import World
from rectok.workloads.costs import Costs
from rectok.workloads.objectives import RANDOM
from rectok.workloads.speed import Speed, Spread

SHORTEST = 0.1
"""Seconds that one timing should last at least, so that waiting for the device does not count."""
GIB = 2**30
SIDES = {"cuda": 8192, "cpu": 1024}
"""Sides of the matrices whose product is the measured ceiling."""


@dataclass(frozen=True)
class Timer:
    """Times calls on `device`, waiting until it has finished them."""

    device: torch.device

    def __call__(self, run: Callable[[], object]) -> float:
        """Seconds of one call, averaged over several where one is short."""
        once = self._seconds(run, 1)
        return once if once >= SHORTEST else self._seconds(run, math.ceil(SHORTEST / max(once, 1e-4)))

    def _seconds(self, run: Callable[[], object], times: int) -> float:
        self.wait()
        began = time.perf_counter()
        for _ in range(times):
            run()
        self.wait()
        return (time.perf_counter() - began) / times

    def wait(self) -> None:
        """Until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def forget_peak(self) -> None:
        """Measure memory from now on."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gib(self) -> float | None:
        """The most GiB held since; None on a CPU, where processes share it."""
        return torch.cuda.max_memory_allocated(self.device) / GIB if self.device.type == "cuda" else None

    @property
    def name(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def rates(images: int, seconds: list[float]) -> Spread:
    """Images per second over repeats."""
    each = [images / duration for duration in seconds]
    return Spread(median=statistics.median(each), min=min(each), max=max(each))


@cache
def matrix_peak(timer: Timer, precision: str, repeats: int) -> float:
    """TFLOP/s of a square matrix product in `precision`: the ceiling that shares refer to. The median of `repeats`."""
    side = SIDES[timer.device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(side, side, device=timer.device, dtype=dtype) for _ in range(2))
    timer(lambda: a @ b)  # chooses its kernel
    return 2 * side**3 / statistics.median(timer(lambda: a @ b) for _ in range(repeats)) / 1e12


@dataclass(frozen=True)
class Prepared:
    """Work that is ready to run: `seconds(timer)` is how long `images` images take, `flops` what one of them costs.

    `warm` runs all once, so that nothing compiles while the timer runs; `close` cleans up. It may measure `peak_gib` itself.
    `step` is one training step that marks its parts, where it trains.
    """

    images: int
    flops: float | None
    precision: str
    compiled: bool
    warm: Callable[[], object]
    seconds: Callable[[Timer], float]
    close: Callable[[], None] = lambda: None
    peak_gib: Callable[[], float | None] = lambda: None
    step: Callable[[Mark], None] | None = None


@dataclass(frozen=True)
class Variant:
    """One timing of a work; `prepare` builds its networks, which are free again when it is over."""

    name: str
    batch: int
    prepare: Callable[[], Prepared]


@dataclass
class Setting:
    """What all works of one command share."""

    params: Params
    world: World
    classes: int

    @cached_property
    def costs(self) -> Costs:
        """FLOPs of the parameters' networks."""
        return Costs(self.params, self.classes)


@dataclass(frozen=True)
class Budget:
    """At most `repeats` timings of a variant, begun within `seconds` of the first; one is always taken."""

    repeats: int
    seconds: float

    def timings(self, prepared: Prepared, timer: Timer) -> list[float]:
        """Seconds of every timing."""
        began, timings = time.monotonic(), [prepared.seconds(timer)]
        while len(timings) < self.repeats and time.monotonic() - began < self.seconds:
            timings.append(prepared.seconds(timer))
        return timings


class Bench:
    """Times variants, each with what its error was if it had one."""

    def __init__(self, setting: Setting, budget: Budget, profiled: Callable[[Profile], None] | None = None) -> None:
        self.setting, self.budget, self.profiled = setting, budget, profiled
        self.timer = Timer(setting.world.device)

    def measured(self, work: str, variants: Callable[[], Iterator[Variant]]) -> Iterator[Speed]:
        """The speed of every variant of `work`, one after the other."""
        try:
            listed = list(variants())
        except Exception as error:
            yield self._unmeasured(work, "", 0, error)
            return
        for variant in listed:
            try:
                speed = self._speed(work, variant)
            except Exception as error:  # out of memory, most often; the other variants go on
                speed = self._unmeasured(work, variant.name, variant.batch, error)
            yield speed  # first, since after some errors of a GPU nothing more can be done in this process
            # Free what it held, its compiled blocks too: a process keeps few of them, and then runs without.
            torch.compiler.reset()
            gc.collect()
            if self.timer.device.type == "cuda":
                torch.cuda.empty_cache()

    def _speed(self, work: str, variant: Variant) -> Speed:
        prepared = variant.prepare()
        try:
            prepared.warm()
            self.timer.forget_peak()
            seconds = self.budget.timings(prepared, self.timer)
            memory = prepared.peak_gib() or self.timer.peak_gib()
            if self.profiled is not None:
                self.profiled(self._profile(prepared))
        finally:
            prepared.close()
        spread = rates(prepared.images, seconds)
        tflops = spread.median * prepared.flops / 1e12 if prepared.flops else None
        peak = matrix_peak(self.timer, prepared.precision, self.budget.repeats) if tflops else None
        return self._record(
            work,
            variant.name,
            variant.batch,
            precision=prepared.precision,
            compiled=prepared.compiled,
            images_per_second=spread,
            flops_per_image=prepared.flops,
            tflops=tflops,
            peak_tflops=peak,
            peak_state="hot" if peak else "",
            share_of_peak=tflops / peak if tflops and peak else None,
            peak_memory_gib=memory,
            repeats=len(seconds),
        )

    def _profile(self, prepared: Prepared) -> Profile:
        marks = Marks(self.timer.device)
        if prepared.step is None:
            return Profile([], kernels(prepared.warm, self.timer.device))
        prepared.step(marks)
        self.timer.wait()
        return Profile(marks.shares(), kernels(partial(prepared.step, unmarked), self.timer.device))

    def _unmeasured(self, work: str, variant: str, batch: int, error: Exception) -> Speed:
        return self._record(work, variant, batch, error=f"{type(error).__name__}: {' '.join(str(error).split())}")

    def _record(self, work: str, variant: str, batch: int, **measured: Any) -> Speed:
        return Speed(
            work=work,
            variant=variant,
            batch=batch,
            preset=self.setting.params.preset,
            device=self.timer.name,
            torch=torch.__version__,
            networks="none" if work == "loader" else RANDOM,
            **measured,
        )
