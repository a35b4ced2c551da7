"""Two GPUs learn what one learns, for every ZeRO stage, through NCCL."""

import sys
from pathlib import Path

import pytest
import torch

from tests.project import write_params
from tests.train.project import finish, make, start
from tests.train.test_processes import assert_gathered, assert_same_weights, losses

GPUS = torch.cuda.device_count()
SETTINGS = {"dit.training.epochs": 4, "dit.training.micro_batch": 16, "machine.device": "cuda"}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(GPUS < 2, reason="needs two GPUs, and here are fewer")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpus")
    make(folder, {**SETTINGS, "machine.processes": 1})
    run(folder)
    (folder / "data/dit").rename(folder / "alone")
    return folder


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_gpus_follow_the_curve_of_one(alone: Path, zero_stage: int, precision: str) -> None:
    changes = {"dit.training.zero_stage": zero_stage, "dit.training.precision": precision, "machine.processes": 2}
    write_params(alone, {**SETTINGS, **changes})
    run(alone)
    exact = precision == "float32"
    assert losses(alone) == pytest.approx(losses(alone, "alone"), rel=1e-3 if exact else 0.05)
    assert_same_weights(alone, within=1e-3 if exact else 0.05)
    assert_gathered(alone)


def run(folder: Path) -> None:
    """By a Python of its own: a process that is forked where CUDA has been asked for cannot use it."""
    finish(start(folder, python=sys.executable))
