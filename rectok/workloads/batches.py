"""Synthetic inputs of the right shapes. Speed does not depend on what an image shows."""

import torch

from rectok.data.data_config import LatentStorage
from rectok.data.dataset import ImageBatch, LatentBatch
from rectok.teacher.network_config import FeatureStorage
from rectok.tokenizer.tokenizer_config import TokenizerConfig


def image_batch(config: TokenizerConfig, count: int, storage: FeatureStorage, device: torch.device) -> ImageBatch:
    """`count` random images, with teacher features as the cache stores them unless `storage` is `online`."""
    side = config.image_size
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    if storage == "online":
        return ImageBatch(images, labels)
    shape = (count, config.tokens, config.teacher_width)
    if storage == "float16":
        return ImageBatch(images, labels, torch.randn(shape, dtype=torch.float16, device=device))
    steps = torch.randint(-127, 128, shape, dtype=torch.int8, device=device)
    return ImageBatch(images, labels, steps, torch.rand(*shape[:2], 1, device=device))


def latent_batch(
    config: TokenizerConfig, count: int, storage: LatentStorage, device: torch.device, aligned: bool = False
) -> LatentBatch:
    """`count` random posterior moments as they are stored, all of the first class; with features if a network is `aligned`."""
    shape, dtype = (count, config.tokens, 2 * config.sizes.channels), getattr(torch, storage)
    moments = torch.randn(shape, dtype=dtype, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    if not aligned:
        return LatentBatch(moments, labels)
    return LatentBatch(moments, labels, torch.randn(count, config.tokens, config.teacher_width, device=device))
