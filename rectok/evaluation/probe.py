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
from rectok.nn.precision import bfloat16_on_gpu
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
    """Mean-pooled features of n images: latent [T, views·n, C] at T times, semantic [views·n, W], labels [views·n]."""

    latent: Features
    semantic: Features
    labels: NDArray[np.int64]


@torch.no_grad()
def pool(tokenizer: Tokenizer, images: Images, noising: Noising, batch: int, device: str, workers: int = 0) -> Pooled:
    """Encode every image once, draw z from its posterior and noise it: x_t = (1 − t)·z + t·γ·ε at the actual time t.

    Every (image, view, time) has its own seed. The semantic features are the decoder's second-to-last at t = 0.
    """
    latent, semantic, labels = [], [], []
    done = 0
    for pixels in image_batches(images, batch, workers):
        positions = slice(done, done := done + len(pixels))
        with bfloat16_on_gpu(device):
            moments = tokenizer.encode(from_bytes(pixels.to(device))).float()  # [B, N, 2C]
        keys = images.keys[positions]
        for view in range(noising.views):
            along = [_noised(moments, keys, view, time, noising).mean(1) for time in noising.times]
            latent.append(torch.stack(along).cpu().numpy())  # [T, B, C]
            clean = _noised(moments, keys, view, 0.0, noising)
            with bfloat16_on_gpu(device):
                features = tokenizer.semantic.penultimate(clean).float()
            semantic.append(features.mean(1).cpu().numpy())
            labels.append(images.labels[positions])
    return Pooled(np.concatenate(latent, axis=1), np.concatenate(semantic), np.concatenate(labels))


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
