"""The verdict names what fits, or the key that makes it fit."""

import pytest

from rectok.params.editing import changed
from rectok.planning.plan import make_plan
from rectok.planning.sizes import Memory
from rectok.planning.verdict import GB, fitting_micro_batch, hours_text, planned_memory, smaller_micro_batch
from tests.project import tiny

CONFIG = changed(tiny(), {"dit.training.batch": 64, "dit.training.micro_batch": 64}).dit.training


def row(activations: float, gpus: int = 2) -> Memory:
    """10 GB that a micro-batch does not change, and `activations` GB of the micro-batch of CONFIG."""
    return Memory("dit", 0, gpus, 4e9, 2e9, 3e9, 1e9, activations * 1e9)


@pytest.mark.parametrize(
    ("activations", "batch"), [(70.0, 64), (70.1, 32), (140.0, 32), (560.0, 8), (70 * 32.0, 2), (70 * 32.1, None)]
)
def test_the_largest_micro_batch_that_fits(activations: float, batch: int | None) -> None:
    assert fitting_micro_batch(row(activations), CONFIG, 80, 64) == batch


def test_a_micro_batch_is_split_over_all_gpus() -> None:
    assert fitting_micro_batch(row(560.0, gpus=8), CONFIG, 80, 64) == 8
    assert fitting_micro_batch(row(561.0, gpus=8), CONFIG, 80, 64) is None


def test_a_smaller_micro_batch_is_the_largest_that_fits_below_todays() -> None:
    params = changed(tiny(), {"dit.training.batch": 64, "dit.training.micro_batch": 64})
    [dit] = (
        row for row in planned_memory(make_plan(params, None, 1, (), indexed=False), params) if row.training == "dit"
    )
    fixed = dit.total - dit.activations
    for share, size in ((1.0, 32), (0.5, 32), (0.49, 16), (0.25, 16)):
        assert smaller_micro_batch(params, "dit", 1, (fixed + share * dit.activations) / GB * (1 + 1e-9)) == size
    assert smaller_micro_batch(params, "dit", 1, 0.5 * fixed / GB) is None


@pytest.mark.parametrize(
    ("hours", "text"), [(293.4, "293 h"), (1.0, "1 h"), (0.99, "59.4 min"), (1 / 120, "30 s"), (1e-6, "< 1 s")]
)
def test_times_have_a_readable_unit(hours: float, text: str) -> None:
    assert hours_text(hours) == text
