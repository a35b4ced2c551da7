"""The shard's latents must be whole, finite, within range, and belong to its images."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import at_most, holds, listed
from rectok.data.data_config import SPLITS
from rectok.data.tables import read_table
from rectok.data.tensors import LatentsFile
from rectok.errors import UserError
from rectok.params import Params


def check(params: Params, shard: str) -> Iterator[Check]:
    """Checks of one shard's latents against the table of its images; messages name the shard and the row."""
    try:
        yield from _checks(params, shard)
    except (UserError, SafetensorError, IndexError, KeyError, TypeError, ValueError) as error:
        yield holds("readable", False, f"the latents of shard {shard} cannot be read: {' '.join(str(error).split())}")


def _checks(params: Params, shard: str) -> Iterator[Check]:
    latents = LatentsFile(artifacts.latents_file(shard))
    rows = list(zip(latents.keys, latents.labels.tolist(), (SPLITS[code] for code in latents.splits), strict=True))
    table = read_table(artifacts.shard_table(shard))
    images = list(zip(*(table[name].to_pylist() for name in ("key", "label", "split")), strict=True))
    message = f"{len(rows)} rows for {len(images)} images, or another key, label or split"
    yield holds("images", rows == images, f"latents of shard {shard} belong to other images: {message}")
    yield _rows("intact", latents, latents.damaged_rows(), "is not what was written")
    largest = _largest_means(latents)
    yield _rows("finite", latents, np.flatnonzero(~np.isfinite(largest)).tolist(), "holds a value that is not finite")
    if np.isfinite(largest).any():
        row = int(np.where(np.isfinite(largest), largest, -1).argmax())
        what = f"the largest |posterior mean| of shard {shard}, in row {row} (key {latents.keys[row]}),"
        yield at_most("largest mean", float(largest[row]), params.gates.latents.max_abs_mean, what)


def _rows(name: str, latents: LatentsFile, rows: list[int], what: str) -> Check:
    keys = latents.keys
    message = f"{latents.path}: {listed([f'row {row} (key {keys[row]}) {what}' for row in rows])}" if rows else ""
    return Check(name, not rows, "ERROR", len(keys) - len(rows), len(keys), message)


def _largest_means(latents: LatentsFile) -> NDArray[np.float64]:
    """The largest |posterior mean| of every row; not finite where any of its moments is not."""
    largest = np.zeros(len(latents))
    for row in range(len(latents)):
        both = np.stack([latents.read(row, bool(flipped)) for flipped in range(latents.orientations)])  # [o, N, 2C]
        mean, _ = np.split(both, 2, axis=-1)
        largest[row] = np.abs(mean).max() if np.isfinite(both).all() else np.nan
    return largest
