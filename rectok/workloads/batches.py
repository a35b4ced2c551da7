"""Synthetic inputs of the right shapes. Speed does not depend on what an image shows."""

import torch

from rectok.data.dataset import ImageBatch, LatentBatch
from rectok.tokenizer.config import TokenizerConfig


def image_batch(config: TokenizerConfig, count: int, features: bool, device: torch.device) -> ImageBatch:
    """`count` random images, with teacher features where they come from the cache."""
    side = config.image_size
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    cached = torch.randn(count, config.tokens, config.teacher_width, device=device) if features else None
    return ImageBatch(images, labels, cached)


def latent_batch(config: TokenizerConfig, count: int, device: torch.device) -> LatentBatch:
    """`count` random posterior moments, all of the first class."""
    moments = torch.randn(count, config.tokens, 2 * config.sizes.channels, device=device)
    return LatentBatch(moments, torch.zeros(count, dtype=torch.int64, device=device))
