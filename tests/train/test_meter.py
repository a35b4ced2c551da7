"""Means between two rows of the log, and the first step that went wrong."""

import pytest
import torch

from rectok.train.meter import Meter, NotFinite
from rectok.train.world import World

ALONE = World(0, 1, torch.device("cpu"))


def test_figures_are_means_and_a_part_may_begin_late() -> None:
    meter = Meter("dit", ALONE)
    meter.add(1, torch.tensor(2.0), {})
    meter.add(2, torch.tensor(4.0), {"late": torch.tensor(5.0)})
    assert meter.read() == {"total": 3.0, "late": 5.0}
    meter.add(3, torch.tensor(1.0), {})
    assert meter.read() == {"total": 1.0}


def test_the_first_step_that_is_not_finite_is_named() -> None:
    meter = Meter("dit", ALONE)
    for step, value in enumerate([1.0, float("nan"), 1.0, float("inf")], 1):
        meter.add(step, torch.tensor(value), {})
    with pytest.raises(NotFinite, match="dit: the loss is not a finite number at step 2"):
        meter.check()


def test_sums_survive_a_checkpoint() -> None:
    meter, resumed = Meter("dit", ALONE), Meter("dit", ALONE)
    meter.add(1, torch.tensor(2.0), {})
    resumed.load_state_dict(meter.state_dict())
    resumed.add(2, torch.tensor(4.0), {})
    assert resumed.read() == {"total": 3.0}
