"""Statistics of the latents of the training images without mirroring, in one pass in float64."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rectok import artifacts
from rectok.data.data_config import SPLITS
from rectok.data.tensors import Floats, LatentsFile
from rectok.data.welford import Rows, Welford

ROWS = 256
"""Images read at a time."""
LOGVAR_RANGE = (-30.0, 20.0)


@dataclass(frozen=True)
class LatentMoments:
    """Mean, std of the posterior means, and std of the sampled latent, per channel [C] over `tokens` tokens.

    The last one follows from the law of total variance: Var z = Var E[z | x] + E Var[z | x].
    """

    mean: Rows
    std_means: Rows
    std_sampled: Rows
    tokens: int


def latent_moments(shards: Sequence[str]) -> LatentMoments | None:
    """The moments over all shards, or None if there is no training image."""
    means, variance = Welford(), np.zeros(1)
    for shard in shards:
        for moments in _training(LatentsFile(artifacts.latents_file(shard))):
            mean, logvar = np.split(moments.reshape(-1, moments.shape[-1]).astype(np.float64), 2, axis=-1)
            means.add(mean)
            variance = variance + np.exp(logvar.clip(*LOGVAR_RANGE)).sum(0)
    if means.count == 0:
        return None
    return LatentMoments(means.mean, means.std, np.sqrt(means.std**2 + variance / means.count), means.count)


def _training(latents: LatentsFile) -> Iterator[Floats]:
    """Moments [n, N, 2C] of training images, a few at a time."""
    train = latents.splits == SPLITS.index("train")
    for start in range(0, len(latents), ROWS):
        mask = train[start : start + ROWS]
        if mask.any():
            yield latents.unflipped(start, start + len(mask))[mask]
