"""What every network of ours must satisfy; read from its summary, log and recorded params."""

import csv
import math
from collections.abc import Iterator, Mapping
from typing import Any

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import at_least, at_most, holds
from rectok.config import Config
from rectok.storage.hashing import sha256_file

MIN_EMA_DISTANCE = 1e-9
MIN_ADVERSARY = 0.01
"""Hinge loss below which an adversary tells all reconstructions from images; it may then teach patterns and not texture."""


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
    rows = _log(stage)
    finite = all(math.isfinite(float(value)) for row in rows for value in row.values() if value)
    yield holds("loss finite", finite, f"{artifacts.log_file(stage)} holds a value that is not finite")
    yield at_most("loss falls", summary["loss_ratio"], max_loss_ratio, "the last tenth of the log over the first")
    yield at_least("ema differs", summary["ema_distance"], MIN_EMA_DISTANCE, "the distance of EMA and raw weights")
    adversary = [float(row["adversary"]) for row in rows[-max(1, len(rows) // 10) :] if row.get("adversary")]
    if adversary:
        what = (
            f"the adversary's loss at the end (it has won; look for patterns, or lower {stage}.losses.adversary.weight)"
        )
        yield at_least("adversary", sum(adversary) / len(adversary), MIN_ADVERSARY, what, "WARN")


def summary_of(stage: str) -> Any:
    """The figures that the stage left."""
    return artifacts.read_json(artifacts.summary_file(stage))


def _log(stage: str) -> list[dict[str, str]]:
    with artifacts.log_file(stage).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
