"""Time and memory on one device."""

import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rectok.workloads.speed import Spread

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


def matrix_peak(timer: Timer, precision: str, repeats: int) -> float:
    """TFLOP/s of a square matrix product in `precision`: the ceiling that shares refer to. The median of `repeats`."""
    side = SIDES[timer.device.type]
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(side, side, device=timer.device, dtype=dtype) for _ in range(2))
    timer(lambda: a @ b)  # chooses its kernel
    return 2 * side**3 / statistics.median(timer(lambda: a @ b) for _ in range(repeats)) / 1e12
