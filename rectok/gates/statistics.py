"""The latent's statistics must normalise it, belong to the tokenizer, and blow no collapsed channel up."""

from collections.abc import Iterator

import numpy as np

from rectok import artifacts
from rectok.artifacts import Check, Severity
from rectok.checks.bounds import at_least, at_most, holds
from rectok.data.moments import LatentMoments, latent_moments
from rectok.data.tensors import LatentsFile
from rectok.params import Params
from rectok.pipeline.hashes import hash_of

COLLAPSED = 0.1
"""A channel whose means vary less than this share of the sampled latent holds the prior's noise and nothing else."""


def check(params: Params) -> Iterator[Check]:
    """Checks of data/statistics, against data/latents and data/tokenizer."""
    limits = params.gates.statistics
    record = artifacts.read_json(artifacts.statistics_file())
    mean, std = np.array(record["mean"]), np.array(record["std"])
    digest = hash_of(artifacts.weights_file("tokenizer"))
    yield holds("tokenizer", record["tokenizer"] == digest, "the statistics were made with another tokenizer")
    files = {shard: LatentsFile(artifacts.latents_file(shard)) for shard in params.index.shards}
    strangers = [shard for shard, file in files.items() if file.provenance.get("tokenizer", "") != digest]
    message = f"the latents of shards {', '.join(strangers)} were made with another tokenizer"
    yield holds("latents' tokenizer", not strangers, message)
    yield at_least("smallest std", float(std.min()), limits.min_std, "the smallest std of a latent channel")
    latent = latent_moments(params.index.shards)
    yield holds("training images", latent is not None, "data/latents holds no training image")
    if latent is None:
        return
    yield _collapsed(latent, params)
    from_file = bool(params.statistics.file.path)  # those of other data need not normalise ours exactly
    offset = float(np.abs((latent.mean - mean) / std).max())
    measured = latent.std_means if params.statistics.std == "means" else latent.std_sampled
    spread = float(np.abs(measured / std - 1).max())
    severity: Severity = "WARN" if from_file else "ERROR"
    yield at_most("normalised mean", offset, limits.max_mean, "the largest |mean| of a channel", severity)
    yield at_most("normalised std", spread, limits.max_std_error, "the largest |std − 1| of a channel", severity)


def _collapsed(latent: LatentMoments, params: Params) -> Check:
    """Dividing such a channel by the std of its means would blow its noise up; by that of its samples it would not."""
    dead = latent.std_means < COLLAPSED * latent.std_sampled
    harmless = params.statistics.std == "sampled"
    what = f"the share of collapsed channels ({int(dead.sum())} of {len(dead)})"
    if not harmless:
        what += "; raise what they carry (lower losses.kl or channels), or set statistics.std to sampled: it"
    limit = params.gates.statistics.max_collapsed
    return at_most("collapsed channels", float(dead.mean()), limit, what, "WARN" if harmless else "ERROR")
