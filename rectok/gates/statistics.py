"""The latent's statistics must normalise it, belong to the tokenizer, and show no collapsed channel."""

from collections.abc import Iterator

import numpy as np

from rectok import artifacts
from rectok.artifacts import Check
from rectok.data.config import SPLITS
from rectok.data.tensors import LatentsFile
from rectok.data.welford import Welford
from rectok.gates.bounds import at_least, at_most, holds
from rectok.params import Params
from rectok.storage.hashing import sha256_file


def check(params: Params) -> Iterator[Check]:
    """Checks of data/statistics, against data/latents and data/tokenizer."""
    limits = params.gates.statistics
    record = artifacts.read_json(artifacts.stage_dir("statistics") / "statistics.json")
    mean, std = np.array(record["mean"]), np.array(record["std"])
    digest = sha256_file(artifacts.weights_file("tokenizer"))
    yield holds("tokenizer", record["tokenizer"] == digest, "the statistics were made with another tokenizer")
    strangers = [shard for shard in params.index.shards if _encoder_of(shard) != digest]
    message = f"the latents of shards {', '.join(strangers)} were made with another tokenizer"
    yield holds("latents' tokenizer", not strangers, message)
    yield at_least("smallest std", float(std.min()), limits.min_std, "the smallest std of a latent channel")
    found = _recomputed(params)
    offset, spread = found.mean - mean, found.std / std
    yield at_most(
        "normalised mean", float(np.abs(offset / std).max()), limits.max_mean, "the largest |mean| of a channel"
    )
    yield at_most(
        "normalised std", float(np.abs(spread - 1).max()), limits.max_std_error, "the largest |std − 1| of a channel"
    )


def _recomputed(params: Params) -> Welford:
    """Statistics of all training tokens' posterior means, from the latents as they are now."""
    found = Welford()
    for shard in params.index.shards:
        latents = LatentsFile(artifacts.latents_file(shard))
        for row in np.flatnonzero(np.asarray(latents.splits) == SPLITS.index("train")):
            found.add(np.split(np.asarray(latents.read(int(row), False), np.float64), 2, axis=-1)[0])
    return found


def _encoder_of(shard: str) -> str:
    """sha256 of the tokenizer that made the shard's latents."""
    return LatentsFile(artifacts.latents_file(shard)).provenance.get("tokenizer", "")
