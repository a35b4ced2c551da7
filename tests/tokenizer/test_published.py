"""Autoencoders of diffusers as tokenizers: the same latents and images as diffusers has, and strict loading."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rectok.params import Params
from rectok.storage.hashing import sha256_file
from rectok.storage.storage_config import WeightsFile
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.model import sample_posterior, split_moments
from rectok.tokenizer.published import WEIGHTS, PublishedTokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests.errors import user_error
from tests.project import parameters

diffusers = pytest.importorskip("diffusers", reason="the extra `diffusers` is not installed")
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
SHIFT, SCALE = 0.1, 0.4
BLOCKS = {
    "block_out_channels": (8, 16), "down_block_types": ("DownEncoderBlock2D",) * 2, "layers_per_block": 1,
    "up_block_types": ("UpDecoderBlock2D",) * 2, "norm_num_groups": 4, "latent_channels": 4,
}  # fmt: skip


def saved(folder: Path, kind: str, **options: Any) -> Any:
    """A small autoencoder with random weights, which diffusers has written to `folder`."""
    torch.manual_seed(0)
    network = getattr(diffusers, kind)(**BLOCKS, **options).eval()
    if kind == "AutoencoderKLFlux2":
        network.bn.running_mean.normal_()
        network.bn.running_var.uniform_(0.5, 2.0)
    network.save_pretrained(folder)
    return network


def file(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": sha256_file(path)}


def params(folder: Path, patch: int, channels: int) -> Params:
    return parameters(
        {
            "tokenizer.kind": "published",
            "tokenizer.published": file(folder / "config.json"),
            "tokenizer.initial": file(folder / WEIGHTS),
            "tokenizer.training.epochs": 0,
            "tokenizer.sizes.patch": patch,
            "tokenizer.sizes.channels": channels,
        }
    )


def tokenizer(folder: Path, patch: int, channels: int) -> PublishedTokenizer:
    section = params(folder, patch, channels)
    model = build_tokenizer(tokenizer_config(section, 8)).eval()
    assert isinstance(model, PublishedTokenizer)
    model.take(section.tokenizer.initial)
    return model


def flattened(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def fold(x: Tensor) -> Tensor:
    """[B, c, h, w] → [B, 4c, h/2, w/2] as FLUX.2's pipeline in diffusers, which needs transformers: channel, row, column."""
    batch, channels, height, width = x.shape
    pairs = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return pairs.reshape(batch, 4 * channels, height // 2, width // 2)


@torch.no_grad()
@pytest.mark.parametrize("shift", [None, SHIFT])
def test_a_kl_autoencoder_has_its_latents_shifted_and_scaled(shift: float | None, tmp_path: Path) -> None:
    network = saved(tmp_path, "AutoencoderKL", scaling_factor=SCALE, shift_factor=shift)
    model, posterior = tokenizer(tmp_path, 2, 4), network.encode(IMAGES).latent_dist
    noise = torch.randn(2, 4, 8, 8)
    sample = posterior.mean + posterior.std * noise
    moments = model.encode(IMAGES)
    z = sample_posterior(moments, flattened(noise))
    torch.testing.assert_close(z, flattened((sample - (shift or 0.0)) * SCALE), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.decode(z), network.decode(sample).sample, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_flux2_folds_its_latents_and_normalises_them_by_its_statistics(tmp_path: Path) -> None:
    network = saved(tmp_path, "AutoencoderKLFlux2")
    model, posterior = tokenizer(tmp_path, 4, 16), network.encode(IMAGES).latent_dist
    noise = torch.randn(2, 4, 8, 8)
    sample = posterior.mean + posterior.std * noise
    z = sample_posterior(model.encode(IMAGES), flattened(fold(noise)))
    torch.testing.assert_close(z, flattened(network.bn(fold(sample))), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.decode(z), network.decode(sample).sample, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_file_of_the_old_names_of_attention_is_read(tmp_path: Path) -> None:
    """As Stable Diffusion's autoencoders were published."""
    network = saved(tmp_path, "AutoencoderKL", scaling_factor=SCALE)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = {}
    for name, tensor in load_file(tmp_path / WEIGHTS).items():
        new = next((part for part in old if f".{part}." in name), "")
        weights[name.replace(f".{new}.", f".{old[new]}.") if new else name] = tensor
    assert weights.keys() != network.state_dict().keys()
    save_file(weights, tmp_path / WEIGHTS, metadata={"format": "pt"})
    mean, _ = split_moments(tokenizer(tmp_path, 2, 4).encode(IMAGES))
    torch.testing.assert_close(mean, flattened(network.encode(IMAGES).latent_dist.mean * SCALE), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("change,said", [("encoder.conv_in.weight", "lacks"), ("more", "holds")])
def test_a_tensor_that_is_missing_or_left_over_is_named(change: str, said: str, tmp_path: Path) -> None:
    saved(tmp_path, "AutoencoderKL", scaling_factor=SCALE)
    weights = load_file(tmp_path / WEIGHTS)
    if said == "lacks":
        del weights[change]
    else:
        weights[change] = torch.zeros(1)
    save_file(weights, tmp_path / WEIGHTS, metadata={"format": "pt"})
    with user_error(f"{said} the tensor {change}, unlike the autoencoder of tokenizer.published.path"):
        tokenizer(tmp_path, 2, 4)


def test_files_must_be_named() -> None:
    with user_error("tokenizer.published.path is empty"):
        parameters({"tokenizer.kind": "published"})
    with user_error("tokenizer.initial.path is empty"):
        parameters({"tokenizer.kind": "published", "tokenizer.published": {"path": "x", "sha256": "0" * 64}})


def test_a_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, "AutoencoderKL", scaling_factor=SCALE)
    model = tokenizer(tmp_path, 2, 4)
    with user_error("has sha256"):
        model.take(WeightsFile(path=str(tmp_path / WEIGHTS), sha256="0" * 64))
