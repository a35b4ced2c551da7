"""Per-channel mean and std that normalise the latent, over the un-flipped training set (RecTok, arXiv 2512.13421)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rectok import artifacts
from rectok.data.moments import LatentMoments, latent_moments
from rectok.errors import DamagedError, UserError
from rectok.json_records import parse_json
from rectok.params import Params
from rectok.pipeline.hashes import hash_of
from rectok.storage.objects import verified
from rectok.storage.storage_config import WeightsFile


def run(params: Params) -> None:
    """Write data/statistics/statistics.json: what normalises, beside what was measured."""
    measured = latent_moments(params.index.shards)
    if measured is None:
        raise UserError("data/latents holds no training image, so there is nothing to normalise by")
    file = params.statistics.file
    artifacts.write_json(
        artifacts.statistics_file(),
        {
            **(_from_file(file, len(measured.mean)) if file.path else _from_latents(measured, params.statistics.std)),
            "std_means": measured.std_means.tolist(),
            "std_sampled": measured.std_sampled.tolist(),
            "tokens": measured.tokens,
            "tokenizer": hash_of(artifacts.weights_file("tokenizer")),
        },
    )


def _from_latents(measured: LatentMoments, std: str) -> dict[str, Any]:
    kinds = {"means": measured.std_means, "sampled": measured.std_sampled}
    return {"mean": measured.mean.tolist(), "std": kinds[std].tolist(), "source": f"std of the {std}"}


def _from_file(file: WeightsFile, channels: int) -> dict[str, Any]:
    """Statistics from elsewhere, such as those published beside a checkpoint."""
    with verified(file.path, file.sha256) as path:
        try:
            record = parse_json(path.read_bytes(), "it")
            mean, std = (_vector(record[name], channels) for name in ("mean", "std"))
        except (DamagedError, ValueError, TypeError) as error:
            raise UserError(
                f"statistics.file.path {file.path} must be JSON with `mean` and `std`, {channels} finite numbers each, "
                f"std above 0: {error!r}"
            ) from None
    if (std <= 0).any():
        raise UserError(f"statistics.file.path {file.path} holds a std that is not above 0")
    return {"mean": mean.tolist(), "std": std.tolist(), "source": file.path}


def _vector(values: Any, channels: int) -> NDArray[np.float64]:
    vector = np.array(values, np.float64)
    if vector.shape != (channels,) or not np.isfinite(vector).all():
        raise ValueError(f"shape {list(vector.shape)}")
    return vector
