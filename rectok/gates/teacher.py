"""The teacher must be the network that was asked for, and know its classes where it was trained here."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.networks import network_checks
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/teacher."""
    yield from network_checks("teacher", params.gates.teacher.min_accuracy)
