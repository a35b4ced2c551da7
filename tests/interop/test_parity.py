"""Every tensor of the released implementation is reproduced in float32 on a CPU."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from rectok import flow
from rectok.dit.dit_config import DiTConfig, DiTSizes
from rectok.dit.model import DiTDH
from rectok.interop.published import to_ours
from rectok.losses.kl import kl_divergence
from rectok.nn.transformer_config import TransformerConfig
from rectok.tokenizer.masking import Mask
from rectok.tokenizer.model import ViTTokenizer, sample_posterior
from rectok.tokenizer.tokenizer_config import SemanticDecoderConfig, TokenizerConfig, TokenizerSizes
from tests.reference import assert_parity, needs_reference, record, tensors

pytestmark = needs_reference
Tensors = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


class Used(dict[str, torch.Tensor]):
    """A dict that remembers which of its tensors were compared or fed."""

    def __init__(self, content: Tensors) -> None:
        super().__init__(content)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> torch.Tensor:
        self.read.add(key)
        return super().__getitem__(key)


def load_published(model: ViTTokenizer | DiTDH, name: str) -> None:
    weights = to_ours(model.config, tensors(f"{name}.weights"), "dinov3", name)
    model.load_state_dict(weights, strict=True)


def tokenizer() -> ViTTokenizer:
    c = record("parity/tokenizer.config.json")
    semantic = dict(c["semantic_decoder"])
    width = semantic.pop("out_features")
    sizes = TokenizerSizes(
        patch=c["patch_size"],
        channels=c["latent_channels"],
        encoder=TransformerConfig(**c["encoder"]),
        decoder=TransformerConfig(**c["decoder"]),
        semantic=SemanticDecoderConfig(kind="transformer", transformer=TransformerConfig(**semantic)),
    )
    model = ViTTokenizer(TokenizerConfig(image_size=c["image_size"], teacher_width=width, sizes=sizes))
    load_published(model, "tokenizer")
    return model


def test_tokenizer() -> None:
    io = Used(tensors("tokenizer.io"))
    model = tokenizer()
    s = flow.time_shift(model.config.tokens, model.config.sizes.channels)
    assert math.isclose(s, record("parity/tokenizer.config.json")["timestep_shift"])
    moments = model.encode(io["image"])
    assert_parity(moments, io["moments"])
    assert_parity(kl_divergence(moments), io["kl"])
    mean = moments.chunk(2, dim=-1)[0]
    assert_parity(model.decode(mean), io["reconstruction"])
    assert_parity(model.semantic(mean), io["semantic_clean"])

    mask = Mask(io["visible_ids"], io["ids_restore"])
    masked = model.encode(io["image"], mask)
    assert_parity(masked, io["masked_moments"])
    t = flow.noise_level(io["uniform_level"], torch.zeros(()), "shift", s)
    assert_parity(t, io["shifted_level"])
    noised = candidates(masked, io["noise"], t.flatten(), io["noised_latent"])
    assert_parity(model.decode(noised, mask), io["reconstruction_masked"])
    assert_parity(model.semantic(noised, mask), io["semantic_masked"])
    assert io.read == set(io)


def candidates(moments: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """The reference noises the posterior mean (a sample of zero noise)."""
    z = sample_posterior(moments, torch.zeros_like(noise))
    noised = flow.interpolate(z, noise, t)
    assert_parity(noised, expected)
    return noised


def dit(name: str, part: str) -> DiTDH:
    c = record("parity/dit.config.json")
    sizes = DiTSizes(encoder=TransformerConfig(**c[f"{part}encoder"]), head=TransformerConfig(**c[f"{part}head"]))
    model = DiTDH(DiTConfig(grid=c["grid"], channels=c["latent_channels"], classes=c["num_classes"], sizes=sizes))
    load_published(model, name)
    return model


def test_dit() -> None:
    io, c = Used(tensors("dit.io")), record("parity/dit.config.json")
    model, autoguidance = dit("dit", ""), dit("guide", "guide_")
    s = c["time_shift"]
    assert math.isclose(s, flow.time_shift(c["grid"] ** 2, c["latent_channels"]))
    assert_parity(model(io["z"], io["t"], io["y"]), io["velocity"])
    assert_parity(autoguidance(io["z"], io["t"], io["y"]), io["guide_velocity"])

    time = flow.generator_time(io["uniform_t"], s)
    assert_parity(time, io["shifted_t"])
    xt, target = flow.generator_pair(io["x1"], io["x0"], time)
    assert_parity(xt, io["xt"])
    assert_parity(target, io["target"])
    assert_parity((model(xt, time, io["y"]) - target).square().mean((1, 2, 3)), io["loss"])
    check_guidance_and_samples(model, autoguidance, io, c, s)
    for n in (8, 50, 150):
        for shift in ("1.4142", "2.8284"):
            expected = io[f"timesteps_n{n}_shift{shift}"]
            assert_parity(flow.time_points(n, s if shift == "1.4142" else 2 * s), expected)
    assert io.read == set(io)


def check_guidance_and_samples(model: DiTDH, autoguidance: DiTDH, io: Used, c: dict[str, Any], s: float) -> None:
    labels = io["y_cond"]
    none = torch.full_like(labels, model.no_label)
    times = flow.time_points(c["sampling_points"], s)

    def plain(x: torch.Tensor, time: float | torch.Tensor) -> torch.Tensor:
        return model(x, torch.as_tensor(time).expand(len(x)), labels)

    def cfg(x: torch.Tensor, time: float | torch.Tensor) -> torch.Tensor:
        empty = model(x, torch.as_tensor(time).expand(len(x)), none)
        return flow.guided(empty, plain(x, time), c["cfg_scale"])

    def auto(x: torch.Tensor, time: float | torch.Tensor) -> torch.Tensor:
        weak = autoguidance(x, torch.as_tensor(time).expand(len(x)), labels)
        return flow.guided(weak, plain(x, time), c["autoguidance_scale"])

    assert_parity(cfg(io["z"], io["t"]), io["cfg_velocity"])
    assert_parity(auto(io["z"], io["t"]), io["autoguidance_velocity"])
    for velocity, name in ((plain, "sample"), (cfg, "sample_cfg"), (auto, "sample_autoguidance")):
        assert_parity(flow.integrate(velocity, io["z"], times, "euler"), io[name])
