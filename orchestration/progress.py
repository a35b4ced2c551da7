"""What a running stage tells of itself, shown while it runs: its rate, losses, time left and newest picture."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, AssetObservation, MetadataValue
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.pictures import picture

EVERY = 30.0
"""Seconds between two observations. Each stays in the event log, where its numbers make a curve on the asset's page."""

Message = Mapping[str, Any]


@dataclass
class Observer:
    """Turns the messages of a stage (rectok.train.progress) into observations of the asset that the run makes.

    The first comes at once, later ones every `EVERY` seconds, and one more for every new picture.
    """

    context: AssetExecutionContext
    root: Path
    clock: Callable[[], float] = time.monotonic
    last: Message = field(default_factory=dict)
    _spoke: float | None = None

    def __call__(self, message: Message) -> None:
        """Take one message."""
        if "picture" in message:
            path = self.root / str(message["picture"])
            self._observe({"picture": picture(path)} if path.exists() else {})
        elif "step" in message:
            self.last = message
            if self._spoke is None or self.clock() - self._spoke >= EVERY:
                self._observe({})

    def _observe(self, shown: Mapping[str, RawMetadataValue]) -> None:
        self._spoke = self.clock()
        partition = self.context.partition_key if self.context.has_partition_key else None
        metadata = {**progress(self.last), **shown}
        self.context.log_event(AssetObservation(self.context.asset_key, metadata=metadata, partition=partition))


def progress(message: Message) -> dict[str, RawMetadataValue]:
    """A message about a step, as metadata: numbers as numbers, so that Dagster plots them."""
    if not message:
        return {}
    step, steps = int(message["step"]), int(message["steps"])
    found: dict[str, RawMetadataValue] = {
        "step": step,
        "steps": steps,
        "percent": round(100 * step / steps, 1),
        "images_per_second": float(message["images_per_second"]),
        "ETA": str(timedelta(seconds=round(float(message["seconds_left"])))),
    }
    # JSON knows no NaN, and the event log is kept as JSON; a training that finds one stops by itself.
    return found | {name: MetadataValue.float(value) for name, value in message["figures"].items() if value == value}
