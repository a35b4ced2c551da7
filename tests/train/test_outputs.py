import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from rectok.train.ema import EMA, full_weights
from rectok.trainers.stage import loss_ratio, relative_distance, write_log


def test_weights_are_copies() -> None:
    module = nn.Linear(2, 2)
    kept = full_weights(module)
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(kept["weight"] + 1, module.weight)


def test_averaged_weights_leave_the_own_ones() -> None:
    module = nn.Linear(2, 2)
    start = full_weights(module)
    average = EMA(module, 0.9)
    with torch.no_grad():
        module.weight.add_(1)
    with average.swapped():
        assert torch.equal(full_weights(module)["weight"], start["weight"])
    assert torch.equal(module.weight, start["weight"] + 1)


def test_relative_distance_is_over_all_tensors() -> None:
    a, b = {"x": torch.tensor([3.0, 0.0]), "y": torch.tensor([4.0])}, {"x": torch.zeros(2), "y": torch.tensor([2.0])}
    assert relative_distance(a, b) == pytest.approx((9 + 4) ** 0.5 / 2)
    assert relative_distance(b, b) == 0


def test_a_figure_that_began_later_is_empty_before(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [{"step": 1, "total": 0.5}, {"step": 2, "total": 0.25, "adversary": 1 / 3}])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["adversary"] for row in rows] == ["", "0.33333333"]
    assert [float(row["total"]) for row in rows] == [0.5, 0.25]


def test_a_log_without_rows_has_its_header(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [])
    assert (tmp_path / "log.csv").read_text() == "step,images,lr,total\n"


def test_loss_ratio_is_the_last_tenth_over_the_first() -> None:
    rows = [{"total": float(i)} for i in range(1, 21)]
    assert loss_ratio(rows) == pytest.approx(19.5 / 1.5)
    assert loss_ratio([{"total": 4.0}, {"total": 1.0}]) == 0.25
    assert loss_ratio([{"total": 4.0}]) == 1
