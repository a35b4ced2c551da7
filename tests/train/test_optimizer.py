import pytest
import torch

from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.tokenizer.model import Tokenizer
from rectok.train.engine import build
from rectok.train.optimizer import ALIGNMENT, adamw
from rectok.train.world import join
from tests.project import tiny
from tests.tokenizer.test_model import config

PARAMS = tiny(tokenizer__training__weight_decay=0.1)
TRAINING = PARAMS.tokenizer.training


def decayed(module: torch.nn.Module) -> tuple[set[str], set[str]]:
    """Names of the parameters that decay, and of the others that are trained."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = adamw(module, TRAINING).param_groups
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
    engine = build(model, adamw(model, TRAINING), TRAINING, 1, world, zero_stage=1)
    assert [len(group["params"]) for group in adamw(model, TRAINING).param_groups] == [3, 1, 1, 1]
    assert all(p.data_ptr() % ALIGNMENT == 0 for p in engine.module.parameters())


def test_the_learning_rate_scales_with_the_batch() -> None:
    module = torch.nn.Linear(2, 2)
    assert adamw(module, TRAINING).param_groups[0]["lr"] == pytest.approx(TRAINING.lr_per_256 * 32 / 256)
    assert adamw(module, TRAINING, 1e-2).param_groups[0]["lr"] == pytest.approx(1e-2 * 32 / 256)
    assert adamw(module, TRAINING).param_groups[0]["betas"] == TRAINING.betas
