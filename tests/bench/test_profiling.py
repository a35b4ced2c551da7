import time

import pytest
import torch

from rectok.bench.profiling import TOP, Marks, kernels

CPU = torch.device("cpu")


def test_parts_are_shares_of_the_time_from_the_first_mark_to_the_last() -> None:
    marks = Marks(CPU)
    marks("")
    for _ in range(2):
        time.sleep(0.03)
        marks("long")
        time.sleep(0.01)
        marks("short")
    shares = dict(marks.shares())
    assert list(shares) == ["long", "short"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["long"] > shares["short"]
    assert Marks(CPU).shares() == []


def test_the_kernels_that_take_longest_come_first() -> None:
    large, small = torch.randn(600, 600), torch.randn(4, 4)
    shares = kernels(lambda: (large @ large, small + small), CPU)
    assert shares[0][0] == "aten::mm" and "aten::add" in dict(shares)
    assert [share for _, share in shares] == sorted((share for _, share in shares), reverse=True)
    assert len(shares) <= TOP and sum(share for _, share in shares) <= 1 + 1e-9
