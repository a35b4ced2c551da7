"""Small, real shards with features and latents in the current folder."""

import numpy as np

from rectok import artifacts
from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.data.tensors import write_features, write_latents

SHARDS = ("00000", "00001", "00002")
SIZES = {"00000": 12, "00001": 0, "00002": 7}
SIDE, TOKENS, WIDTH, CHANNELS = 8, 4, 6, 2


def key(shard: str, row: int) -> str:
    return f"{int(shard):08x}{row:08x}"


def split(row: int) -> str:
    return ("train", "train", "val", "train", "test")[row % 5]


def pixels(shard: str, row: int) -> np.ndarray:
    return np.random.default_rng([int(shard), row]).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)


def features(shard: str) -> np.ndarray:
    return np.random.default_rng([1, int(shard)]).normal(size=(SIZES[shard], 2, TOKENS, WIDTH)).astype(np.float32)


def moments(shard: str) -> np.ndarray:
    return (
        np.random.default_rng([2, int(shard)]).normal(size=(SIZES[shard], 2, TOKENS, 2 * CHANNELS)).astype(np.float32)
    )


def build() -> None:
    """Three shards, the middle one empty."""
    for shard, count in SIZES.items():
        rows = range(count)
        keys = [key(shard, row) for row in rows]
        write_shard(shard, [Packed(keys[r], r % 3, split(r), encode_png(pixels(shard, r))) for r in rows])
        write_features(artifacts.features_file(shard), keys, [features(shard)] if count else [], "float16", {})
        labels, splits = np.arange(count) % 3, [split(row) for row in rows]
        write_latents(artifacts.latents_file(shard), keys, labels, splits, moments(shard), {})


def places(name: str) -> list[tuple[str, int]]:
    """(shard, row) of a split, in order."""
    return [(shard, row) for shard, count in SIZES.items() for row in range(count) if split(row) == name]
