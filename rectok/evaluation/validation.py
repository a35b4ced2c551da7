"""How good a freshly trained tokenizer is, for its gate and its preview."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.data.dataset import ImageDataset
from rectok.data.welford import Welford
from rectok.evaluation.image_quality import psnr, to_uint8
from rectok.nn.precision import bfloat16_on_gpu
from rectok.tokenizer.model import Tokenizer, from_bytes, split_moments, to_unit

SHOWN = 20
"""Originals and reconstructions kept for the preview."""


@dataclass(frozen=True)
class Validation:
    """Figures of a tokenizer on held-out images: PSNR in dB, cosine to the teacher, channel stds of posterior means.

    `originals` and `reconstructions` are the first images, uint8 [SHOWN, 3, H, H].
    """

    psnr: float
    semantic_cosine: float | None
    latent_std_min: float
    latent_std_max: float
    originals: Tensor
    reconstructions: Tensor


def reconstructed(tokenizer: Tokenizer, images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 images [B, 3, H, H] → their posterior means [B, N, C], and what is decoded from these, uint8 [B, 3, H, H]."""
    mean, _ = split_moments(tokenizer.encode(from_bytes(images)).float())
    return mean, to_uint8(to_unit(tokenizer.decode(mean).float()), "round")


@torch.no_grad()
def validate(
    tokenizer: Tokenizer, dataset: ImageDataset, teach: Callable[[Tensor], Tensor] | None, batch: int
) -> Validation:
    """Reconstruct a split from its posterior means, batch by batch, on the tokenizer's device.

    `teach` maps images [B, 3, H, H] in [0, 1] to the teacher's features [B, N, D]; None leaves the cosine out.
    """
    device = next(tokenizer.parameters()).device
    decibels, cosines, shown, means = [], [], [], Welford()
    for start in range(0, len(dataset), batch):
        rows = range(start, min(start + batch, len(dataset)))
        images = torch.stack([dataset.image(row) for row in rows]).to(device)
        with bfloat16_on_gpu(device):
            mean, fake = reconstructed(tokenizer, images)
            predicted = tokenizer.semantic(mean).float() if teach is not None else None
        decibels.append(psnr(fake, images).cpu())
        means.add(mean.double().flatten(0, 1).cpu().numpy())
        if start < SHOWN:
            shown.append(torch.stack([images.cpu(), fake.cpu()]))
        if teach is not None and predicted is not None:
            cosine = F.cosine_similarity(predicted, teach(images.float() / 255).float(), dim=-1)
            cosines.append(cosine.double().mean(1).cpu())
    originals, reconstructions = torch.cat(shown, dim=1)[:, :SHOWN]
    return Validation(
        torch.cat(decibels).mean().item(),
        torch.cat(cosines).mean().item() if cosines else None,
        float(np.min(means.std)),
        float(np.max(means.std)),
        originals,
        reconstructions,
    )
