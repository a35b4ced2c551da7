"""Where the time of one piece of work goes: the parts of a training step, and the kernels of any work."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

TOP = 15
"""Kernels that are shown."""
Shares = list[tuple[str, float]]


@dataclass(frozen=True)
class Profile:
    """Shares of the time, largest first: of `parts` of a training step in their order, and of the `kernels` that take longest."""

    parts: Shares
    kernels: Shares


class Marks:
    """Times between calls on a device, without waiting for it: a GPU takes its own time at each."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.names: list[str] = []
        self.times: list[Any] = []

    def __call__(self, name: str) -> None:
        """What began at the mark before ends here, and is called `name`."""
        self.names.append(name)
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.times.append(event)
        else:
            self.times.append(time.perf_counter())

    def shares(self) -> Shares:
        """The share of every name between the first mark and the last. The device must have finished."""
        seconds: dict[str, float] = {}
        for name, start, end in zip(self.names[1:], self.times, self.times[1:], strict=False):
            lasted = float(start.elapsed_time(end)) if self.cuda else end - start
            seconds[name] = seconds.get(name, 0.0) + lasted
        whole = sum(seconds.values()) or 1.0
        return [(name, value / whole) for name, value in seconds.items()]


def kernels(run: Callable[[], object], device: torch.device) -> Shares:
    """The TOP kernels of `run` (on a CPU: operators) by their share of the device's time."""
    cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        run()
        if cuda:
            torch.cuda.synchronize(device)
    events = profiler.key_averages()
    times = {event.key: event.self_device_time_total if cuda else event.self_cpu_time_total for event in events}
    whole = sum(times.values()) or 1.0
    ordered = sorted(times.items(), key=lambda item: -item[1])[:TOP]
    return [(name, value / whole) for name, value in ordered if value]
