"""How well one linear layer tells labels apart: on x_t along the flow, and inside the semantic decoder."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from rectok.data.dataset import ImageDataset
from rectok.data.loader import image_batches
from rectok.flow import interpolate
from rectok.nn.overlap import Parts
from rectok.nn.precision import bfloat16_on_gpu
from rectok.nn.spread import ALONE, Spread, batch_sizes
from rectok.seeds import seed_of
from rectok.tokenizer.model import Tokenizer, from_bytes, sample_posterior

Features = NDArray[np.float32]
ITERATIONS = 2000


class ClassSubset:
    """The first `per_class` images of every class, by key, which is to say by content hash: a fixed, random choice."""

    def __init__(self, images: ImageDataset, per_class: int) -> None:
        order = sorted(range(len(images)), key=lambda position: images.keys[position])
        counts: Counter[int] = Counter()
        self.positions = []
        for position in order:
            label = int(images.labels[position])
            counts[label] += 1
            if counts[label] <= per_class:
                self.positions.append(position)
        self.images = images
        self.keys = [images.keys[position] for position in self.positions]
        self.labels = images.labels[self.positions]
        self.threads = images.threads

    def image(self, position: int) -> Tensor:
        """uint8 [3, H, W]."""
        return self.images.image(self.positions[position])

    def __len__(self) -> int:
        return len(self.positions)


Images = ImageDataset | ClassSubset
"""Labelled images, each with a key that seeds its noise."""


@dataclass(frozen=True)
class Noising:
    """How x_t is drawn: at which flow times, how often per image, with which noise scale γ, from which seed."""

    times: tuple[float, ...]
    views: int
    scale: float
    seed: int

    def once(self) -> "Noising":
        """The same with a single draw per image, for testing."""
        return replace(self, views=1)


@dataclass(frozen=True)
class Pooled:
    """Mean-pooled features of n images: latent [T, views·n, C] at T times, semantic [views·n, W], labels [views·n].

    A tokenizer without a semantic decoder has no semantic features.
    """

    latent: Features
    semantic: Features | None
    labels: NDArray[np.int64]


NONE = Pooled(np.empty((0, 0, 0), np.float32), None, np.empty(0, np.int64))


def pool(
    tokenizer: Tokenizer,
    images: Images,
    noising: Noising,
    batch: int,
    device: torch.device | str,
    workers: int = 0,
    spread: Spread = ALONE,
) -> Pooled:
    """Encode every image once, draw z from its posterior and noise it: x_t = (1 − t)·z + t·γ·ε at the actual time t.

    Every (image, view, time) has its own seed. The semantic features are the decoder's second-to-last at t = 0. Only the first
    process of `spread` gets them.
    """
    sizes = batch_sizes(len(images), batch)
    own = spread.own(len(sizes))
    places = [slice(unit * batch, (unit + 1) * batch) for unit in range(len(sizes))]
    pixels = image_batches(images, batch, workers, own)
    computed = (
        _pooled(tokenizer, some, images.keys[places[unit]], noising, device)
        for unit, some in zip(own, pixels, strict=True)
    )
    parts = list(spread.results(computed, [noising.views * size for size in sizes]))
    if not spread.first:
        return NONE
    latent, *semantic = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
    labels = np.concatenate([np.tile(images.labels[place], noising.views) for place in places])
    return Pooled(np.ascontiguousarray(latent.transpose(1, 0, 2)), semantic[0] if semantic else None, labels)


@torch.no_grad()
def _pooled(
    tokenizer: Tokenizer, pixels: Tensor, keys: list[str], noising: Noising, device: torch.device | str
) -> Parts:
    """Features of B images, view after view: latent [views·B, T, C] and, with a semantic decoder, semantic [views·B, W]."""
    with bfloat16_on_gpu(device):
        moments = tokenizer.encode(from_bytes(pixels.to(device))).float()  # [B, N, 2C]
    latent, semantic = [], []
    for view in range(noising.views):
        latent.append(torch.stack([_noised(moments, keys, view, t, noising).mean(1) for t in noising.times], 1))
        if tokenizer.semantic is not None:
            clean = _noised(moments, keys, view, 0.0, noising)
            with bfloat16_on_gpu(device):
                semantic.append(tokenizer.semantic.penultimate(clean).float().mean(1))
    return (torch.cat(latent), torch.cat(semantic)) if semantic else (torch.cat(latent),)


def _noised(moments: Tensor, keys: list[str], view: int, time: float, noising: Noising) -> Tensor:
    batch, tokens, twice = moments.shape
    generators = [np.random.default_rng(seed_of(noising.seed, key, view, str(time))) for key in keys]
    draws = np.stack([each.standard_normal((2, tokens, twice // 2), dtype=np.float32) for each in generators])
    posterior, noise = torch.from_numpy(draws).to(moments.device).unbind(1)
    t = torch.full((batch,), time, device=moments.device)
    return interpolate(sample_posterior(moments, posterior), noise, t, noising.scale)


def linear_accuracy(
    train: Features, train_labels: NDArray[np.int64], test: Features, test_labels: NDArray[np.int64], strength: float
) -> float:
    """Test accuracy of multinomial logistic regression on standardised features [n, C]; `strength` is sklearn's C."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=ITERATIONS))
    probe.fit(train.astype(np.float64), train_labels)
    return float(probe.score(test.astype(np.float64), test_labels))
