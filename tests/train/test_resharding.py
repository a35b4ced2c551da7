"""A checkpoint goes on in engines that are split in another way, with weights, moments, averages, buffers and schedule."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rectok.train import engine
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.ema import EMA, full_weights
from rectok.train.meter import Meter
from rectok.train.optimizer import optimizer_of
from rectok.train.resharding import Piece, merged_averages, partitions
from rectok.train.world import World, join
from tests.train.test_safe_loading import PARAMS

TRAINING = PARAMS.dit.training.model_copy(update={"precision": "float32", "weight_decay": 0.3, "clip": 0.5})
STEPS = 8


def build(world: World, zero_stage: int, seed: int) -> State:
    """A network that has what universal checkpoints lose: buffers, a frozen part, and groups that do not decay."""
    torch.manual_seed(seed)
    frozen = nn.Linear(3, 4).requires_grad_(False)
    module = nn.Sequential(frozen, nn.BatchNorm1d(4), nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3))
    optimizer = optimizer_of(module, TRAINING, world, lr_per_256=0.1)
    built = engine.build(module, optimizer, TRAINING, STEPS, world, zero_stage)
    return State({"model": built}, EMA(built.module, 0.9), Meter("dit", world), 0, [])


def learn(state: State, steps: int) -> None:
    """Optimizer steps whose batches follow from their numbers."""
    built = state.engines["model"]
    for _ in range(steps):
        batch = torch.randn(64, 3, generator=torch.Generator().manual_seed(state.step))
        loss = (built(batch) - 1).square().mean()
        state.meter.add(state.step + 1, loss, {})
        built.backward(loss)
        built.step()
        state.ema.update(state.step)
        state.step += 1


def everything(state: State) -> dict[str, Tensor]:
    """Weights, buffers and what is frozen, and the averages."""
    built = state.engines["model"]
    own = full_weights(built.module)
    with state.ema.swapped():
        averages = full_weights(built.module)
    settings = [value for group in built.optimizer.param_groups for value in (group["lr"], group["weight_decay"])]
    return {
        **own,
        **{f"average of {name}": value for name, value in averages.items()},
        "groups": torch.tensor(settings),
    }


@pytest.mark.slow  # starts DeepSpeed
def test_a_training_goes_on_exactly_in_another_kind_of_engine_and_back(tmp_path: Path) -> None:
    world = join(PARAMS.machine.model_copy(update={"device": "cpu"}))
    whole = build(world, 0, seed=0)
    learn(whole, STEPS)

    moved, kinds = build(world, 0, seed=0), (1, 3, 2, 0, 3, 0)
    learn(moved, 2)
    for number, zero_stage in enumerate(kinds):
        checkpoints = Checkpoints(tmp_path / str(number), "a", world)
        checkpoints.save(moved)
        moved = build(world, zero_stage, seed=number + 1)
        assert checkpoints.restore(moved)
        learn(moved, 1)
    assert moved.step == whole.step == STEPS
    for name, value in everything(whole).items():
        torch.testing.assert_close(everything(moved)[name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert moved.meter.read() == pytest.approx(whole.meter.read(), rel=1e-5)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_equal_parts_hold_every_element_once(ranks: int) -> None:
    sizes = {"a": 7, "b": 1, "c": 12}
    parts = [list(partitions(sizes, rank, ranks)) for rank in range(ranks)]
    for name, size in sizes.items():
        held = [
            element
            for pieces in parts
            for p in pieces
            if p.name == name
            for element in range(p.begin, p.begin + p.size)
        ]
        assert held == list(range(size))
    assert list(partitions(sizes, 1, 4)) == [Piece("a", 2, 0, 2), Piece("b", 1, 2, 0), Piece("c", 3, 3, 3)]


def test_averages_that_zero_3_had_split_are_put_together() -> None:
    module = nn.Linear(3, 1, bias=False)
    split = [[torch.tensor([1.0, 2.0])], [torch.tensor([3.0, -9.0])]]  # the last element fills a part up
    assert merged_averages(split, True, EMA(module, 0.9), 0)[0].tolist() == [[1.0, 2.0, 3.0]]
