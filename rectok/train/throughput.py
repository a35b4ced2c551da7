"""How fast a training runs, and which share of what the card can do."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from rectok.artifacts import RATE, throughput_file

T = TypeVar("T")
GIB = 2**30
PEAKS = {
    r"B200": 2250.0,
    r"H200|H100 80GB HBM3": 989.4,
    r"H100 NVL": 835.5,
    r"H100 PCIe": 756.0,
    r"A100": 312.0,
    r"L40S": 362.0,
    r"A30": 165.0,
    r"A10": 125.0,
    r"L4": 121.0,
    r"RTX 4090": 165.2,
}
"""TFLOP/s of dense bfloat16 products by the name of the card, from NVIDIA's data sheets and, for RTX, white papers."""


def peak_tflops(card: str) -> float | None:
    """The entry of PEAKS for what torch calls the card; None for one that is not there."""
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b({name})\b", card)), None)


class TimedBatches(Generic[T]):
    """Batches, and the seconds that their user has waited for them since the last `restart`."""

    def __init__(self, batches: Iterator[T]) -> None:
        self.batches = batches
        self.restart()

    def restart(self) -> None:
        """Forget the seconds so far."""
        self.waited = 0.0

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        began = time.monotonic()
        batch = next(self.batches)
        self.waited += time.monotonic() - began
        return batch


@dataclass(frozen=True)
class Work:
    """What a training does for one image: `flops` where they were counted, in `precision`, on one of `processes` devices."""

    flops: float | None
    precision: str
    processes: int
    device: torch.device

    def figures(self, images: int, seconds: float, waited: float) -> dict[str, float]:
        """Of `images` in `seconds`, `waited` of them for data: images/s, share of waiting, GiB, TFLOP/s and their share (MFU).

        The last three are those of one device.
        Without a count there is no TFLOP/s, and no share for a card that PEAKS lacks or in float32.
        """
        figures = {RATE: images / seconds, "data_wait": waited / seconds}
        cuda = self.device.type == "cuda"
        if cuda:
            figures["memory_gib"] = torch.cuda.max_memory_allocated(self.device) / GIB
        if self.flops is not None:
            figures["tflops"] = images * self.flops / seconds / self.processes / 1e12
            peak = peak_tflops(torch.cuda.get_device_name(self.device)) if cuda else None
            if peak is not None and self.precision == "bfloat16":
                figures["mfu"] = figures["tflops"] / peak
        return figures


def record(stage: str, step: int, figures: dict[str, float]) -> None:
    """Append them to data/timings/<stage>.jsonl; without figures, as at the first row of a run, begin that file anew."""
    path = throughput_file(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if figures else "w", encoding="utf-8") as file:
        if figures:
            file.write(json.dumps({"step": step, **figures}) + "\n")
