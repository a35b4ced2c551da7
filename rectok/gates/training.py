"""What every network of ours must satisfy; read from its summary, log and recorded params."""

import csv
import math
from collections.abc import Iterator, Mapping
from typing import Any

from rectok import artifacts
from rectok.artifacts import Check
from rectok.config import Config
from rectok.gates.bounds import at_least, at_most, holds
from rectok.storage.hashing import sha256_file

MIN_EMA_DISTANCE = 1e-9


def training_checks(stage: str, section: Config, max_loss_ratio: float) -> Iterator[Check]:
    """Whole weights and the params asked for; where it was trained, finite and falling losses, and an EMA of its own."""
    summary = summary_of(stage)
    if summary["trained"]:
        yield from _learnt(stage, summary, max_loss_ratio)
    digest = sha256_file(artifacts.weights_file(stage))
    yield holds(
        "weights whole",
        digest == summary["sha256"],
        f"{artifacts.weights_file(stage)} is not the file that was written",
    )
    same = artifacts.read_json(artifacts.params_file(stage)) == section.model_dump(mode="json")
    yield holds("params", same, f"params.yaml changed while {stage} ran; repeat it with `dvc repro -f {stage}`")


def _learnt(stage: str, summary: Mapping[str, float], max_loss_ratio: float) -> Iterator[Check]:
    yield holds("loss finite", _log_is_finite(stage), f"{artifacts.log_file(stage)} holds a value that is not finite")
    yield at_most("loss falls", summary["loss_ratio"], max_loss_ratio, "the last tenth of the log over the first")
    yield at_least("ema differs", summary["ema_distance"], MIN_EMA_DISTANCE, "the distance of EMA and raw weights")


def summary_of(stage: str) -> Any:
    """The figures that the stage left."""
    return artifacts.read_json(artifacts.summary_file(stage))


def _log_is_finite(stage: str) -> bool:
    with artifacts.log_file(stage).open(encoding="utf-8") as file:
        return all(math.isfinite(float(value)) for row in csv.DictReader(file) for value in row.values() if value)
