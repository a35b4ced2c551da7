"""What must be true of the teacher and of the metric network; read from their summaries."""

from collections.abc import Iterator

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import at_least, holds
from rectok.evaluation.evaluation_config import INCEPTION
from rectok.storage.hashing import sha256_file


def network_checks(stage: str, min_accuracy: float) -> Iterator[Check]:
    """Whole weights; those that were asked for; and a network trained here must know images that it has not seen."""
    summary = artifacts.read_json(artifacts.summary_file(stage))
    path = artifacts.weights_file(stage)
    digest = sha256_file(path)
    yield holds("weights whole", digest == summary["sha256"], f"{path} is not the file that was written")
    network = artifacts.read_json(artifacts.config_file(stage))["network"]
    expected = network["sha256"].lower()
    # Inception's file is converted; its sha256 was asked for when it was fetched.
    if expected and network["name"] != INCEPTION:
        yield holds("sha256", digest == expected, f"{path} has sha256 {digest}, but {expected} was expected")
    if summary["trained_here"]:
        yield from _accuracies(stage, summary, min_accuracy)


def _accuracies(stage: str, summary: dict[str, float | None], minimum: float) -> Iterator[Check]:
    accuracies = {split: summary[f"{split}_accuracy"] for split in ("val", "test")}
    held_out = any(value is not None for value in accuracies.values())
    yield holds("held-out images", held_out, "no split is held out; index.split.val or test must be above 0")
    for split, value in accuracies.items():
        if value is not None:
            yield at_least(f"{split} accuracy", value, minimum, f"accuracy of the {stage} on the {split} split")
