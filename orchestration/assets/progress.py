"""Progress of a running stage as observations of its asset: speed, losses, time left and newest image."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.assets.images import inline_image
from orchestration.assets.metadata import Metadata

EVERY = 30.0
"""Seconds between two observations. The event log keeps each, and the asset's page plots their numbers."""

Message = Mapping[str, Any]


@dataclass
class Observer:
    """Turns messages of stages (rectok.train.progress) into observations of the asset `key`, or of the stage's if there is none.

    `root` is the stage's folder. The first message and new images are observed at once, others every `EVERY` seconds.
    """

    context: dg.AssetExecutionContext | dg.OpExecutionContext
    root: Path
    key: dg.AssetKey | None = None
    partition: str | None = None
    clock: Callable[[], float] = time.monotonic
    last_step: Message = field(default_factory=dict)
    _observed_at: float | None = None

    def __call__(self, message: Message) -> None:
        """Take one message."""
        if "picture" in message:
            path = self.root / str(message["picture"])
            self._observe(message, {"picture": inline_image(path)} if path.exists() else {})
        elif "step" in message:
            self.last_step = message
            if self._observed_at is None or self.clock() - self._observed_at >= EVERY:
                self._observe(message, {})

    def _observe(self, message: Message, image: Metadata) -> None:
        self._observed_at = self.clock()
        metadata = {"stage": str(message["stage"]), **progress_metadata(self.last_step), **image}
        key = self.key or dg.AssetKey(str(message["stage"]))
        self.context.log_event(dg.AssetObservation(key, metadata=metadata, partition=self.partition))


def progress_metadata(message: Message) -> Metadata:
    """A message about a step. Its numbers stay numbers, so that Dagster plots them."""
    if not message:
        return {}
    step, steps = int(message["step"]), int(message["steps"])
    metadata: Metadata = {
        "step": step,
        "steps": steps,
        "percent": round(100 * step / steps, 1),
        **({} if message["images_per_second"] is None else {"images_per_second": float(message["images_per_second"])}),
        "ETA": str(timedelta(seconds=round(float(message["seconds_left"])))),
    }
    # The event log is stored as JSON, which has no NaN. A training stops by itself when its loss is NaN.
    return metadata | {
        name: dg.MetadataValue.float(value) for name, value in message["figures"].items() if value == value
    }
