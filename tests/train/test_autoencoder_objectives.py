"""What a plain VAE and the decoder of a representation autoencoder minimise."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.data.dataset import ImageBatch
from rectok.losses.kl import kl_divergence
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.model import from_bytes, sample_posterior, split_moments
from rectok.train.objectives import ImageObjective
from rectok.train.step_random import StepRandom
from rectok.workloads.objectives import teacher_like, tokenizer_objective
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import parameters

CPU = torch.device("cpu")
SAMPLES = 2000
IMAGES = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BATCH = ImageBatch(IMAGES, torch.arange(4))
UNIT = from_bytes(IMAGES)


def objective(kind: str, **changes: float) -> ImageObjective:
    torch.manual_seed(0)
    named = {name.replace("__", "."): value for name, value in changes.items()}
    params = parameters({"tokenizer.kind": kind, "tokenizer.sizes.channels": 16, **named})
    teacher = teacher_like(params)
    return tokenizer_objective(params, build_tokenizer(tokenizer_config(params, teacher.width)), teacher, None, None)


def draws(samples: int = 4) -> StepRandom:
    return StepRandom.of((0, 0, 0), samples, 0, 1, CPU)


def test_a_vae_minimises_its_image_losses_and_the_weighted_divergence() -> None:
    of = objective("vae", tokenizer__losses__kl=0.01, tokenizer__losses__pixel=2.0)
    total, parts, fake = of(BATCH, draws(), 0.0)
    moments = of.tokenizer.encode(UNIT)
    z = sample_posterior(moments, draws().normal(16, 16))
    assert fake is not None and torch.equal(fake, of.tokenizer.decode(z))
    expected = {"pixel": F.mse_loss(fake / 2, UNIT / 2), "kl": kl_divergence(moments).mean()}
    assert parts.keys() == expected.keys()
    assert all(torch.allclose(parts[name], value) for name, value in expected.items())
    assert total.item() == pytest.approx((2 * expected["pixel"] + 0.01 * expected["kl"]).item())


def test_every_weight_of_a_vae_learns() -> None:
    of = objective("vae")
    of(BATCH, draws(), 0.0)[0].backward()
    trained = {name: p for name, p in of.named_parameters() if p.requires_grad}
    assert set(dict(of.named_parameters())) - set(trained) == {"tokenizer.decoder.mask_token"}
    assert all(p.grad is not None for p in trained.values())


def test_only_the_decoder_of_an_rae_learns() -> None:
    of = objective("rae").train()
    total, parts, _ = of(BATCH, draws(), 0.0)
    assert parts.keys() == {"pixel"}
    total.backward()
    learnt = {name for name, p in of.named_parameters() if p.grad is not None}
    assert learnt and all(name.startswith("tokenizer.decoder.") for name in learnt)
    assert learnt == {name for name, p in of.named_parameters() if p.requires_grad}


class Recorder(nn.Module):
    """A decoder that keeps what it reads."""

    def forward(self, z: Tensor) -> Tensor:
        self.read = z
        return torch.zeros(len(z), 3, 16, 16)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_decoder_of_an_rae_reads_features_with_noise_of_half_normal_strength(noise: float) -> None:
    of = objective("rae", tokenizer__rae__noise=noise)
    of.tokenizer.decoder = recorder = Recorder()
    batch = ImageBatch(IMAGES[:1].expand(SAMPLES, -1, -1, -1), torch.zeros(SAMPLES, dtype=torch.int64))
    of(batch, draws(SAMPLES), 0.0)
    features, _ = split_moments(of.tokenizer.encode(UNIT[:1]))
    added = (recorder.read - features).double().flatten(1)  # [B, N·C]
    assert added.mean().item() == pytest.approx(0.0, abs=0.01)
    sigma = added.std(dim=1)
    # |N(0, τ²)| has mean τ·√(2/π) and mean square τ².
    assert sigma.mean().item() == pytest.approx(noise * math.sqrt(2 / math.pi), abs=0.02)
    assert sigma.square().mean().sqrt().item() == pytest.approx(noise, abs=0.02)
    normal = added / sigma[:, None] if noise else added
    assert normal.std().item() == pytest.approx(1.0 if noise else 0.0, abs=1e-2 if noise else 1e-5)
