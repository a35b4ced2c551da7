"""Steps that share the encoder's condition (DDT, arXiv 2504.05741)."""

import pytest
import torch
from pydantic import ValidationError

from rectok.dit.model import DiTDH
from rectok.evaluation.generation import _approximations
from rectok.sampling.generator import SharedEncoder
from rectok.sampling.sampler_config import SamplerConfig
from tests.dit.test_model import model


def trained() -> DiTDH:
    torch.manual_seed(0)
    net = model()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.requires_grad_(False)


def inputs(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 6, 4, 4, generator=generator), torch.rand(2, generator=generator), torch.tensor([0, 2])


def test_an_encoder_at_every_step_is_the_network_itself() -> None:
    net = trained()
    shared = SharedEncoder(net, 1)
    for seed in range(3):
        assert torch.equal(shared(*inputs(seed)), net(*inputs(seed)))


def test_the_steps_between_use_the_last_condition_and_their_own_latent() -> None:
    net = trained()
    shared = SharedEncoder(net, 2)
    velocities = [shared(*inputs(seed)) for seed in range(4)]
    for seed, source in enumerate((0, 0, 2, 2)):
        assert torch.equal(velocities[seed], net.decode(inputs(seed)[0], net.encode(*inputs(source))))
    assert not torch.equal(velocities[1], net(*inputs(1)))


@pytest.mark.parametrize(
    ("every", "words"), [(1, ", products in fp8"), (4, ", the encoder's condition shared by 4 steps, products in fp8")]
)
def test_the_protocol_names_what_is_not_exact(every: int, words: str) -> None:
    sampler = SamplerConfig(method="euler", points=10, encoder_every=every, fp8=False)
    assert _approximations(sampler.model_copy(update={"fp8": True})) == words
    assert _approximations(sampler) == words.removesuffix(", products in fp8")


@pytest.mark.parametrize(
    ("method", "every", "message"),
    [
        ("heun", 2, "encoder_every 2 shares the encoder between steps of euler, but method is heun"),
        ("euler", 10, "encoder_every 10 must be below points 10"),
    ],
)
def test_what_cannot_share_an_encoder_is_refused(method: str, every: int, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SamplerConfig.model_validate({"method": method, "points": 10, "encoder_every": every, "fp8": False})
