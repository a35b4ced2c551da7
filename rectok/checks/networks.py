"""What must be true of every network; read from its summary, log and recorded params."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import at_least, at_most, holds, unlabelled
from rectok.config import Config
from rectok.evaluation.evaluation_config import INCEPTION
from rectok.params import Params
from rectok.params.thresholds import DiTGateParams
from rectok.pipeline.hashes import hash_of

MIN_EMA_DISTANCE = 1e-9
MIN_ADVERSARY = 0.01
"""Hinge loss below which an adversary tells all reconstructions from images; it may then teach patterns and not texture."""


def network_checks(stage: str, min_accuracy: float) -> Iterator[Check]:
    """Whole weights; those that were asked for; and a network trained here must know images that it has not seen."""
    summary = summary_of(stage)
    path = artifacts.weights_file(stage)
    digest = hash_of(path)
    yield _whole(stage, digest)
    network = artifacts.read_json(artifacts.config_file(stage))["network"]
    expected = network["sha256"].lower()
    # Inception's file is converted; its sha256 was asked for when it was fetched.
    if expected and network["name"] != INCEPTION:
        yield holds("sha256", digest == expected, f"{path} has sha256 {digest}, but {expected} was expected")
    if summary["trained_here"]:
        yield from _accuracies(stage, summary, min_accuracy)
        return
    if not summary.get("labelled", True):
        yield unlabelled("accuracy", min_accuracy)
    if network["name"] != INCEPTION:
        yield from _preprocessing(stage, network)


def _accuracies(stage: str, summary: dict[str, float | None], minimum: float) -> Iterator[Check]:
    accuracies = {split: summary[f"{split}_accuracy"] for split in ("val", "test")}
    held_out = any(value is not None for value in accuracies.values())
    yield holds("held-out images", held_out, "no split is held out; index.split.val or test must be above 0")
    for split, value in accuracies.items():
        if value is not None:
            yield at_least(f"{split} accuracy", value, minimum, f"accuracy of the {stage} on the {split} split")


def _preprocessing(stage: str, network: dict[str, Any]) -> Iterator[Check]:
    """Images prepared otherwise than in the network's own training give worse features without a word."""
    from rectok.teacher.preprocessing import preprocessing  # timm takes seconds, which other networks need not wait for

    for name, ours, choices in preprocessing(network):
        timms = " or ".join(map(str, choices))
        message = f"{name} of {stage}.network is {ours}, but timm records {timms} for {network['name']}"
        same = ours in choices
        yield Check(name, same, "WARN", str(ours), timms, "" if same else message)


def training_checks(stage: str, params: Params, max_loss_ratio: float) -> Iterator[Check]:
    """Whole weights and the params asked for; where it was trained, finite and falling losses, and an EMA of its own."""
    summary = summary_of(stage)
    if summary["trained"]:
        yield from _learnt(stage, summary, max_loss_ratio)
    yield _whole(stage, hash_of(artifacts.weights_file(stage)))
    section: Config = getattr(params, stage)
    same = artifacts.read_json(artifacts.params_file(stage)) == section.model_dump(mode="json")
    yield holds("params", same, f"params.yaml changed while {stage} ran; repeat it with `rectok repair {stage}`")


def generator_checks(stage: str, params: Params) -> Iterator[Check]:
    """Training went well, and samples of the generator or its autoguidance model differ from one another."""
    limits: DiTGateParams = getattr(params.gates, stage)
    yield from training_checks(stage, params, limits.max_loss_ratio)
    spread = summary_of(stage)["sample_std"]
    yield at_least("samples vary", spread, limits.min_sample_std, "the std across preview samples")


def summary_of(stage: str) -> Any:
    """The numbers that the stage left."""
    return artifacts.read_json(artifacts.summary_file(stage))


def _whole(stage: str, digest: str) -> Check:
    message = f"{artifacts.weights_file(stage)} is not the file that was written"
    return holds("weights whole", digest == summary_of(stage)["sha256"], message)


def _learnt(stage: str, summary: Mapping[str, float], max_loss_ratio: float) -> Iterator[Check]:
    rows = artifacts.read_log(artifacts.log_file(stage))
    finite = all(math.isfinite(float(value)) for row in rows for value in row.values() if value)
    yield holds("loss finite", finite, f"{artifacts.log_file(stage)} holds a value that is not finite")
    yield at_most("loss falls", summary["loss_ratio"], max_loss_ratio, "the last tenth of the log over the first")
    yield at_least("ema differs", summary["ema_distance"], MIN_EMA_DISTANCE, "the distance of EMA and raw weights")
    adversary = [float(row["adversary"]) for row in rows[-max(1, len(rows) // 10) :] if row.get("adversary")]
    if adversary:
        advice = f"look for patterns, or lower {stage}.losses.adversary.weight"
        what = f"the adversary's loss at the end (it has won; {advice})"
        yield at_least("adversary", sum(adversary) / len(adversary), MIN_ADVERSARY, what, "WARN")
