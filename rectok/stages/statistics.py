"""Per-channel mean and std of the posterior means over the un-flipped training set (METHOD, section 3)."""

import numpy as np

from rectok import artifacts
from rectok.data.config import SPLITS
from rectok.data.tensors import LatentsFile
from rectok.data.welford import Welford
from rectok.errors import UserError
from rectok.params import Params
from rectok.storage.hashing import sha256_file


def run(params: Params) -> None:
    """Write data/statistics/statistics.json."""
    means, sampled = Welford(), 0.0
    for shard in params.index.shards:
        latents = LatentsFile(artifacts.latents_file(shard))
        train = np.flatnonzero(np.asarray(latents.splits) == SPLITS.index("train"))
        for row in train:
            mean, logvar = np.split(np.asarray(latents.read(int(row), False), np.float64), 2, axis=-1)
            means.add(mean)
            sampled = sampled + np.exp(np.clip(logvar, -30, 20)).sum(0)
    if means.count == 0:
        raise UserError("data/latents holds no training image, so there is nothing to normalise by")
    artifacts.write_json(
        artifacts.statistics_file(),
        {
            "mean": means.mean.tolist(),
            "std": means.std.tolist(),
            "std_sampled": np.sqrt(means.std**2 + sampled / means.count).tolist(),
            "tokens": means.count,
            "tokenizer": sha256_file(artifacts.weights_file("tokenizer")),
        },
    )
