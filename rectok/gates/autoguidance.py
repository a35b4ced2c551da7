"""Gate of the autoguidance model."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.generator import generator_checks
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/autoguidance."""
    yield from generator_checks("autoguidance", params.autoguidance, params.gates.autoguidance)
