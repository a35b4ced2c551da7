"""Gate of the generator."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.generator import generator_checks
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/dit."""
    yield from generator_checks("dit", params.dit, params.gates.dit)
