"""A shard's features must be whole, belong to its images and to the teacher, and agree with features made afresh."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import at_most, holds
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import FeaturesFile
from rectok.errors import UserError
from rectok.params import Params
from rectok.pipeline.hashes import hash_of

NORM_SPREAD = 1e3
"""Largest over median token norm; the outlier tokens of DINOv2 reach about ten times the median."""

Norms = NDArray[np.float64]


def check(params: Params, shard: str) -> Iterator[Check]:
    """Checks of data/features/<shard>.safetensors; messages name the shard and, where one is at fault, the row."""
    try:
        reader, file = ShardReader(shard), FeaturesFile(artifacts.features_file(shard))
        belongs = [keys_check(file, reader), *_provenance(file, shard, params.features.storage)]
        yield from belongs
        if all(c.passed for c in belongs) and len(file) and params.features.storage != "online":
            yield from _values(params, file, reader)
    except (UserError, SafetensorError, KeyError, TypeError, ValueError) as error:
        yield holds("readable", False, f"the features of shard {shard} cannot be read: {' '.join(str(error).split())}")


def keys_check(file: FeaturesFile, reader: ShardReader) -> Check:
    """Row by row, the file's image keys must be the shard's."""
    keys, expected = file.keys, reader.keys
    row = next((i for i, pair in enumerate(zip(keys, expected, strict=False)) if pair[0] != pair[1]), None)
    if row is not None:
        message = f"shard {reader.shard} row {row} has key {keys[row]}, but the shard's image is {expected[row]}"
    else:
        message = f"shard {reader.shard} has features of {len(keys)} images, but holds {len(expected)}"
    return holds("keys", keys == expected, message)


def _provenance(file: FeaturesFile, shard: str, storage: str) -> Iterator[Check]:
    made_from = file.provenance
    for name, path in (("teacher", artifacts.weights_file("teacher")), ("shard", artifacts.shard_tar(shard))):
        same = made_from[name] == hash_of(path)
        yield holds(f"made from this {name}", same, f"the features of shard {shard} were made from another {path}")
    same = made_from["storage"] == storage
    yield holds("storage", same, f"shard {shard} is stored as {made_from['storage']}, but {storage} was asked for")


def _values(params: Params, file: FeaturesFile, reader: ShardReader) -> Iterator[Check]:
    shard = reader.shard
    grid, orientations = params.image.size // params.tokenizer.sizes.patch, 1 + params.image.flip
    shape = (file.orientations, file.read(0, False).shape[0])
    sizes = f"{shape[0]} orientations of {shape[1]} tokens"
    message = f"shard {shard} has {sizes}, but {orientations} of {grid**2} are needed"
    yield holds("shape", shape == (orientations, grid**2), message)
    yield _rows_check("intact", shard, file.damaged_rows(), "other bytes than were written")
    if shape == (orientations, grid**2):
        yield from _norm_checks(shard, _norms(file, orientations))
        yield _recomputed_check(params, file, reader, grid)


def _norm_checks(shard: str, norms: Norms) -> Iterator[Check]:
    yield _rows_check("finite", shard, np.flatnonzero(~np.isfinite(norms).all((1, 2))).tolist(), "values not finite")
    row = int(np.nan_to_num(norms).max((1, 2)).argmax())
    spread = float(norms[row].max() / max(float(np.median(norms)), np.finfo(np.float32).tiny))
    yield at_most("norm spread", spread, NORM_SPREAD, f"shard {shard} row {row}: largest token norm over the median")
    empty = np.flatnonzero((norms == 0).any((1, 2))).tolist()
    yield _rows_check("no empty token", shard, empty, "tokens that are zero", "WARN")


def _rows_check(name: str, shard: str, rows: list[int], what: str, severity: artifacts.Severity = "ERROR") -> Check:
    first = f"shard {shard} row {rows[0]}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "") if rows else ""
    return holds(name, not rows, f"{first}: {what}", severity)


def _norms(file: FeaturesFile, orientations: int) -> Norms:
    """Euclidean norms [n, o, N] of all tokens; not finite where a value is not."""
    rows = [
        [np.linalg.norm(file.read(row, flipped=bool(o)).astype(np.float64), axis=-1) for o in range(orientations)]
        for row in range(len(file))
    ]
    return np.array(rows)


def _recomputed_check(params: Params, file: FeaturesFile, reader: ShardReader, grid: int) -> Check:
    """Largest over a sample of images of 1 − cosine between stored and recomputed features, averaged over tokens."""
    from rectok.teacher.features import oriented_tokens  # seconds, which `online` need not wait for
    from rectok.teacher.loading import load_network
    from rectok.train.world import device_of

    limits, flip = params.gates.features, params.image.flip
    rows = np.unique(np.linspace(0, len(file) - 1, limits.recomputed).round().astype(int)).tolist()
    network = load_network(artifacts.stage_dir("teacher")).on(device_of(params.machine))
    fresh = oriented_tokens(network, torch.stack([reader.image(row) for row in rows]), grid, flip).cpu().double()
    stored = torch.stack(
        [torch.stack([torch.from_numpy(file.read(row, bool(o))) for o in range(1 + flip)]) for row in rows]
    ).double()
    errors = 1 - torch.nn.functional.cosine_similarity(fresh, stored, dim=-1)  # [rows, o, N]
    errors[(fresh == stored).all(-1)] = 0  # equal zeros have no angle
    worst = int(errors.mean((1, 2)).argmax())
    what = f"shard {reader.shard} row {rows[worst]}: 1 − cosine of stored and recomputed features"
    return at_most("cosine error", float(errors.mean((1, 2))[worst]), limits.max_cosine_error, what)
