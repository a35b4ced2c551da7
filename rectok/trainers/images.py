"""What the two stages that train on images share: helping networks, how good the result is, and what they show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.data.welford import Welford
from rectok.evaluation.image_quality import psnr, to_uint8
from rectok.losses.loss_config import PerceptualConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.nn.precision import bfloat16_on_gpu
from rectok.reporting.images import COLUMNS, enlarged, grid, side_by_side, write_png
from rectok.teacher.loading import load_network
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer, from_bytes, split_moments, to_unit
from rectok.trainers.stage import TrainingStage

VALIDATED = 64
"""Images of a point of the validation curve."""
SHOWN = 20
"""Originals and reconstructions kept for the preview."""


def reconstructed(tokenizer: Tokenizer, images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 images [B, 3, H, H] → their posterior means [B, N, C], and what is decoded from these, uint8 [B, 3, H, H]."""
    mean, _ = split_moments(tokenizer.encode(from_bytes(images)).float())
    return mean, to_uint8(to_unit(tokenizer.decode(mean).float()), "round")


def load_teacher(stage: TrainingStage) -> VisionNetwork:
    """The distilled network, on this process's device."""
    return load_network(artifacts.stage_dir("teacher")).on(stage.world.device)


def perceptual_loss(config: PerceptualConfig, teacher: VisionNetwork, stage: TrainingStage) -> PerceptualLoss | None:
    """The perceptual term, or None where its weight is 0. The summary names its network."""
    device, precision = stage.world.device, stage.config.precision
    loss = PerceptualLoss(config, teacher.layers).on(device, precision) if config.weight else None
    stage.summary["perceptual"] = loss.name if loss is not None else "none"
    return loss


@torch.no_grad()
def validated(stage: TrainingStage, teach: Callable[[Tensor], Tensor] | None) -> dict[str, float | None]:
    """Reconstruct the validation split with the weights just written, and save a preview of the first images.

    PSNR in dB, cosine to the teacher, smallest and largest std of a channel of the posterior means. `teach` maps images
    [B, 3, H, H] in [0, 1] to the teacher's features [B, N, D]; None leaves the cosine out.
    """
    device, batch = stage.world.device, stage.config.micro_batch
    tokenizer, dataset = load_tokenizer(stage.folder).to(device), ImageDataset(stage.params.index.shards, "val")
    decibels, cosines, shown, means = [], [], [], Welford()
    for start in range(0, len(dataset), batch):
        rows = range(start, min(start + batch, len(dataset)))
        images = torch.stack([dataset.image(row) for row in rows]).to(device)
        with bfloat16_on_gpu(device):
            mean, fake = reconstructed(tokenizer, images)
        decibels.append(psnr(fake, images).cpu())
        means.add(mean.double().flatten(0, 1).cpu().numpy())
        if start < SHOWN:
            shown.append(torch.stack([images.cpu(), fake.cpu()]))
        if teach is not None:
            cosines.append(_semantic_cosine(tokenizer, mean, images, teach).mean(1).cpu())
    originals, reconstructions = torch.cat(shown, dim=1)[:, :SHOWN]
    _write_pairs(stage.folder / "preview.png", originals, reconstructions)
    return {
        "psnr": torch.cat(decibels).mean().item(),
        "semantic_cosine": torch.cat(cosines).mean().item() if cosines else None,
        "latent_std_min": float(np.min(means.std)),
        "latent_std_max": float(np.max(means.std)),
    }


def reconstruction_preview(stage: TrainingStage, tokenizer: Tokenizer) -> Callable[[], Path]:
    """Draws the first images of the validation split, and what a `tokenizer` in training makes of them."""
    dataset, path = ImageDataset(stage.params.index.shards, "val"), artifacts.newest_picture(stage.name)
    originals = torch.stack([dataset.image(row) for row in range(min(COLUMNS, len(dataset)))])

    def draw() -> Path:
        device = stage.world.device
        with bfloat16_on_gpu(device):
            _, reconstructions = reconstructed(tokenizer, originals.to(device))
        _write_pairs(path, originals, reconstructions.cpu())
        return path

    return draw


def reconstruction_curve(
    stage: TrainingStage, tokenizer: Tokenizer, teach: Callable[[Tensor], Tensor] | None
) -> Callable[[], dict[str, float]]:
    """Measures a `tokenizer` in training on the first VALIDATED images of the validation split.

    PSNR in dB of clean latents and, with `teach`, the cosine of predicted and teacher features; nothing without images.
    """
    dataset, device = ImageDataset(stage.params.index.shards, "val"), stage.world.device
    rows = range(min(VALIDATED, len(dataset)))

    def measure() -> dict[str, float]:
        if not rows:
            return {}
        images = torch.stack([dataset.image(row) for row in rows]).to(device)
        with bfloat16_on_gpu(device):
            mean, fake = reconstructed(tokenizer, images)
        measured = {"val_psnr": psnr(fake, images).mean().item()}
        if teach is not None:
            measured["val_semantic_cosine"] = _semantic_cosine(tokenizer, mean, images, teach).mean().item()
        return measured

    return measure


def _semantic_cosine(tokenizer: Tokenizer, mean: Tensor, images: Tensor, teach: Callable[[Tensor], Tensor]) -> Tensor:
    """Cosine, float64 [B, N], of the features predicted from `mean` and those that `teach` has for uint8 `images`."""
    assert tokenizer.semantic is not None
    with bfloat16_on_gpu(mean.device):
        predicted = tokenizer.semantic(mean).float()
    return F.cosine_similarity(predicted, teach(images.float() / 255).float(), dim=-1).double()


def _write_pairs(path: Path, originals: Tensor, reconstructions: Tensor) -> None:
    """Originals above reconstructions, both uint8 [N, 3, H, H], in rows of ten."""
    pairs = [originals.numpy(), reconstructions.numpy()]
    write_png(path, grid(enlarged(side_by_side(pairs, COLUMNS)), COLUMNS))
