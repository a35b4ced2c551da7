"""How good a freshly trained tokenizer or generator is, for its gate and its preview."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.evaluation.metrics import psnr, to_uint8
from rectok.tokenizer.model import Tokenizer, from_bytes, split_moments, to_unit


@dataclass(frozen=True)
class Validation:
    """Figures of a tokenizer on held-out images: PSNR in dB, cosine to the teacher, channel stds of posterior means."""

    psnr: float
    semantic_cosine: float | None
    latent_std_min: float
    latent_std_max: float
    reconstructions: Tensor


@torch.no_grad()
def validate(tokenizer: Tokenizer, images: Tensor, features: Tensor | None, batch: int) -> Validation:
    """Reconstruct uint8 images [N, 3, H, H] from their posterior means; `features` [N, tokens, D] are the teacher's."""
    decibels, cosines, means, fakes = [], [], [], []
    for start in range(0, len(images), batch):
        real = from_bytes(images[start : start + batch])
        mean, _ = split_moments(tokenizer.encode(real))
        fake = to_unit(tokenizer.decode(mean))
        decibels.append(psnr(to_uint8(fake, "round"), images[start : start + batch]))
        means.append(mean.double().flatten(0, 1))
        fakes.append(fake)
        if features is not None:
            target = features[start : start + batch].to(mean)
            cosines.append(F.cosine_similarity(tokenizer.semantic(mean), target, dim=-1).double().mean(1))
    std = torch.cat(means).std(0, correction=0)
    cosine = torch.cat(cosines).mean().item() if cosines else None
    return Validation(torch.cat(decibels).mean().item(), cosine, std.min().item(), std.max().item(), torch.cat(fakes))
