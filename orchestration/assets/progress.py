"""What a running stage tells of itself, shown while it runs: its rate, losses, time left and newest picture."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetObservation, MetadataValue, OpExecutionContext
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.assets.pictures import picture

EVERY = 30.0
"""Seconds between two observations. Each stays in the event log, where its numbers make a curve on the asset's page."""

Message = Mapping[str, Any]


@dataclass
class Observer:
    """Turns the messages of stages (rectok.train.progress) that work in `root` into observations of an asset.

    That is `key`, else the asset of the stage that speaks. The first comes at once, later ones every `EVERY` seconds, and
    one more for every new picture.
    """

    context: AssetExecutionContext | OpExecutionContext
    root: Path
    key: AssetKey | None = None
    partition: str | None = None
    clock: Callable[[], float] = time.monotonic
    last: Message = field(default_factory=dict)
    _spoke: float | None = None

    def __call__(self, message: Message) -> None:
        """Take one message."""
        if "picture" in message:
            path = self.root / str(message["picture"])
            self._observe(message, {"picture": picture(path)} if path.exists() else {})
        elif "step" in message:
            self.last = message
            if self._spoke is None or self.clock() - self._spoke >= EVERY:
                self._observe(message, {})

    def _observe(self, message: Message, shown: Mapping[str, RawMetadataValue]) -> None:
        self._spoke = self.clock()
        metadata = {"stage": str(message["stage"]), **progress(self.last), **shown}
        key = self.key or AssetKey(str(message["stage"]))
        self.context.log_event(AssetObservation(key, metadata=metadata, partition=self.partition))


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
