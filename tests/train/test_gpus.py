"""Two GPUs learn what one learns, for every ZeRO stage, through NCCL."""

from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from tests.project import write_params
from tests.train.project import finish, make, start
from tests.train.test_processes import losses

GPUS = torch.cuda.device_count()
SETTINGS = {"dit.training.epochs": 4, "dit.training.micro_batch": 16, "machine.device": "cuda"}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(GPUS < 2, reason="needs two GPUs, and here are fewer")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
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
    one, two = (load_file(alone / place / "model.safetensors") for place in ("alone", "data/dit"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert two[name] == pytest.approx(tensor, abs=1e-3 if exact else 0.05), name
    raw = load_file(alone / "data/dit/raw.safetensors")
    assert any((raw[name] != two[name]).any() for name in raw), "the average was not gathered"


def run(folder: Path) -> None:
    """By a Python of its own: a process that is forked where CUDA has been asked for cannot use it."""
    finish(start(folder, prefix=("env",)))
