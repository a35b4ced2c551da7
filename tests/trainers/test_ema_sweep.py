"""`rectok ema` beside snapshots that are not those of the generator; tests/train/test_resume.py has the numbers."""

from pathlib import Path

import pytest
import torch

from rectok.dit.model import DiTDH
from rectok.nn.weights import save_weights
from rectok.params import Params
from rectok.trainers.ema_sweep import sweep
from tests.errors import user_error
from tests.networks import drawn, generator, keep
from tests.project import tiny

SNAPSHOTS = Path("data/dit/snapshots")


@pytest.fixture
def dit(here: Path) -> DiTDH:
    """A generator, and snapshots of it that are all alike."""
    dit = drawn(generator(tiny()))
    keep("dit", dit)
    for name in ("1-0.05", "2-0.05", "1-0.1", "2-0.1"):
        save_weights(SNAPSHOTS / f"{name}.safetensors", dit.state_dict())
    return dit


def made(params: Params) -> list[str]:
    return [row.folder for row in sweep(params, [0.1], measured=False)]


def test_snapshots_of_another_network_are_named(dit: DiTDH) -> None:
    assert made(tiny()) == ["data/ema/0.1"]
    state = dit.state_dict()
    name = next(iter(dict(dit.named_parameters())))
    for weights, said in (
        (
            {key: value for key, value in state.items() if key != name},
            f"lacks the tensor {name}, which this model needs",
        ),
        ({**state, name: torch.zeros(3)}, rf": tensor {name} has shape \[3\], but this model needs"),
    ):
        save_weights(SNAPSHOTS / "2-0.1.safetensors", weights)
        with user_error(f"^data/dit/snapshots/2-0.1.safetensors{'' if said[0] == ':' else ' '}{said}"):
            made(tiny())


def test_a_file_that_is_called_like_no_snapshot_is_named(dit: DiTDH) -> None:
    save_weights(SNAPSHOTS / "last.safetensors", dit.state_dict())
    with user_error(r"^data/dit/snapshots/last\.safetensors is no snapshot, whose name is STEP-LENGTH\.safetensors"):
        made(tiny())
