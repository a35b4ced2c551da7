import copy

import pytest
import torch

from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.tokenizer.model import Tokenizer
from rectok.train.engine import build
from rectok.train.optimizer import ALIGNMENT, ClippingAdamW, adamw, on_one_gpu
from rectok.train.world import World, join
from tests.project import tiny
from tests.tokenizer.test_model import config

PARAMS = tiny(tokenizer__training__weight_decay=0.1)
TRAINING = PARAMS.tokenizer.training
CPU = World(0, 1, torch.device("cpu"))


def decayed(module: torch.nn.Module) -> tuple[set[str], set[str]]:
    """Names of the parameters that decay, and of the others that are trained."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = adamw(module, TRAINING, CPU).param_groups
    assert {group["weight_decay"] for group in groups} == {0.1, 0.0}
    found = {
        decay: {names[id(p)] for group in groups if group["weight_decay"] == decay for p in group["params"]}
        for decay in (0.1, 0.0)
    }
    return found[0.1], found[0.0]


def test_matrices_decay_and_vectors_tokens_and_positions_do_not() -> None:
    model = Tokenizer(config())
    yes, no = decayed(model)
    assert yes | no == {name for name, _ in model.named_parameters()} and not yes & no
    assert all(name.endswith("weight") for name in yes)
    assert {"encoder.trunk.position", "decoder.mask_token"} <= no
    assert all(p.ndim > 1 for name, p in model.named_parameters() if name in yes)


def test_the_label_embedding_does_not_decay() -> None:
    yes, no = decayed(DiTDH(DiTConfig(grid=2, channels=3, classes=4, sizes=PARAMS.dit.sizes)))
    assert "label.weight" in no and "final.out.weight" in yes


def test_what_is_frozen_is_not_optimised() -> None:
    model = Tokenizer(config())
    model.encoder.requires_grad_(False)
    assert not any(name.startswith("encoder.") for names in decayed(model) for name in names)


@pytest.mark.slow  # starts DeepSpeed
def test_what_lies_behind_an_odd_parameter_stays_aligned_under_zero() -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(3)))  # biases of 24 bytes
    world = join(PARAMS.machine)
    engine = build(model, adamw(model, TRAINING, CPU), TRAINING, 1, world, zero_stage=1)
    assert [len(group["params"]) for group in adamw(model, TRAINING, CPU).param_groups] == [3, 1, 1, 1]
    assert all(p.data_ptr() % ALIGNMENT == 0 for p in engine.module.parameters())


def test_the_learning_rate_scales_with_the_batch() -> None:
    module = torch.nn.Linear(2, 2)
    assert adamw(module, TRAINING, CPU).param_groups[0]["lr"] == pytest.approx(TRAINING.lr_per_256 * 32 / 256)
    assert adamw(module, TRAINING, CPU, 1e-2).param_groups[0]["lr"] == pytest.approx(1e-2 * 32 / 256)
    assert adamw(module, TRAINING, CPU).param_groups[0]["betas"] == TRAINING.betas


def test_one_gpu_without_offloading_needs_no_zero() -> None:
    gpu = torch.device("cuda")
    assert on_one_gpu(TRAINING, World(0, 1, gpu))
    assert not on_one_gpu(TRAINING, World(0, 2, gpu))
    assert not on_one_gpu(TRAINING, CPU)
    assert not on_one_gpu(TRAINING.model_copy(update={"offload": "cpu"}), World(0, 1, gpu))


@pytest.mark.parametrize("size", [1e-3, 10.0])  # below and above the limit
def test_the_optimizer_of_one_gpu_clips_and_steps_as_two_passes_do(size: float) -> None:
    torch.manual_seed(0)
    ours = torch.nn.Linear(5, 4)
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.1}
    one = ClippingAdamW([{"params": list(ours.parameters())}], clip=1.0, **settings)
    two = torch.optim.AdamW(theirs.parameters(), **settings)  # type: ignore[arg-type]
    for _ in range(3):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = size * torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        assert one.norm is not None
        torch.testing.assert_close(one.norm, norm)
        two.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)
