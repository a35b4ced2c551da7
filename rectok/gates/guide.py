"""Gate of the guide."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.gates.generator import generator_checks
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/guide."""
    yield from generator_checks("guide", params.guide, params.gates.guide)
