"""What the generator and its autoguidance model must satisfy."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.bounds import at_least
from rectok.checks.training import summary_of, training_checks
from rectok.params.gates import DiTGateParams
from rectok.params.schema import DiTParams


def generator_checks(stage: str, section: DiTParams, limits: DiTGateParams) -> Iterator[Check]:
    """Training went well, and samples differ from one another."""
    yield from training_checks(stage, section, limits.max_loss_ratio)
    spread = summary_of(stage)["sample_std"]
    yield at_least("samples vary", spread, limits.min_sample_std, "the std across preview samples")
