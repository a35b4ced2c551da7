"""Real checkpoints of DeepSpeed come back bit by bit under every ZeRO stage, and code in them is never run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rectok.params import parse, preset_text
from rectok.storage.folder import write_list
from rectok.train import engine
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.ema import EMA
from rectok.train.meter import Meter
from rectok.train.world import World, join
from tests.errors import user_error
from tests.train.test_checkpoint import TouchWhenBuilt

STEPS = 2
PARAMS = parse(preset_text("digits"), "params.yaml")


def trained(world: World, zero_stage: int, steps: int, precision: str = "float32") -> State:
    """The state of a small network after `steps` optimizer steps."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    config = PARAMS.dit.training.model_copy(update={"zero_stage": zero_stage, "precision": precision})
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    built = engine.build(module, optimizer, config, 10, world, zero_stage)
    state = State({"model": built}, EMA(built.module, 0.9), Meter("dit", world), 0, [])
    for _ in range(steps):
        step(state)
    return state


def step(state: State) -> None:
    """One optimizer step on the same batch."""
    built = state.engines["model"]
    loss = built(torch.arange(256.0).reshape(64, 4) / 256).float().square().mean()
    built.backward(loss)
    built.step()
    state.ema.update(state.step)
    state.step += 1


def weights(state: State) -> list[Any]:
    return [tensor.clone() for tensor in state.ema.average]


@pytest.mark.parametrize(
    "zero_stage, precision", [(0, "float32"), (1, "float32"), (2, "float32"), (3, "float32"), (1, "bfloat16")]
)
def test_a_checkpoint_of_deepspeed_goes_on_bit_by_bit_and_code_in_it_is_never_run(
    tmp_path: Path, zero_stage: int, precision: str
) -> None:
    world = join(PARAMS.machine.model_copy(update={"device": "cpu"}))
    checkpoints = Checkpoints(tmp_path / "dit", "a", world)
    state = trained(world, zero_stage, STEPS, precision)
    checkpoints.save(state)
    step(state)
    restored = trained(world, zero_stage, 0, precision)
    assert checkpoints.restore(restored) and restored.step == STEPS
    step(restored)
    for mine, theirs in zip(weights(restored), weights(state), strict=True):
        assert torch.equal(mine, theirs)

    folder = tmp_path / "dit" / "a" / f"step-{STEPS:09d}"
    files = sorted((folder / "model" / "state").glob("*.pt"))
    assert len(files) == (1 if zero_stage == 0 else 2)
    for file in files:
        whole = file.read_bytes()
        torch.save({"module": TouchWhenBuilt(tmp_path / "executed")}, file)
        write_list(folder)
        with user_error(rf"{file.name} holds more than tensors and settings; code in a checkpoint"):
            checkpoints.restore(trained(world, zero_stage, 0, precision))
        assert not (tmp_path / "executed").exists()
        file.write_bytes(whole)


def test_the_pickle_of_these_tests_runs_where_it_is_trusted(tmp_path: Path) -> None:
    torch.save(TouchWhenBuilt(tmp_path / "executed"), tmp_path / "file.pt")
    torch.load(tmp_path / "file.pt", weights_only=False)
    assert (tmp_path / "executed").exists()
