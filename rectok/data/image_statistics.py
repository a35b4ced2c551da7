"""How a set of images looks, in a few figures: its classes, file sizes, sides, brightness, and images that look alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from rectok.config import Config
from rectok.data.data_config import ImageConfig
from rectok.data.image_decoding import BadImage, decode
from rectok.data.parallel_map import map_in_threads
from rectok.data.sources.image_source import Source

HASH_SIDE = 8
"""Rows and columns of a perceptual hash, which has as many bits as cells."""
NEAR = 3
"""Bits in which the hashes of two images that look alike may differ."""


class ImageStatistics(Config):
    """Figures of an index: class shares and the median file size of all images, the rest of a sample.

    `brightness` is the mean pixel in [0, 1]; `duplicates` the share of images that look like an earlier one; `median_side` the
    median of √(width·height) in pixels, 0 in what was accepted before it was kept.
    """

    images: int
    classes: dict[str, float]
    median_bytes: float
    sampled: int
    brightness: float
    duplicates: float
    median_side: float = 0.0


@dataclass(frozen=True)
class MeasuredImage:
    """One image: its mean pixel in [0, 1], its perceptual hash, 16 hex digits, and √(width·height) in pixels."""

    uri: str
    brightness: float
    hash: str
    side: float


def image_statistics(
    labels: Mapping[str, int], sizes: Sequence[int], sample: Sequence[MeasuredImage]
) -> ImageStatistics:
    """The figures of images counted by class name in `labels`, with file sizes in bytes, and a `sample` looked at."""
    images = sum(labels.values())
    return ImageStatistics(
        images=images,
        classes={name: round(count / images, 6) for name, count in sorted(labels.items())},
        median_bytes=float(median(sizes)),
        sampled=len(sample),
        brightness=round(fmean(look.brightness for look in sample), 6) if sample else 0.0,
        duplicates=round(len(near_duplicates(sample)) / len(sample), 6) if sample else 0.0,
        median_side=round(median(look.side for look in sample), 3) if sample else 0.0,
    )


def measure_images(source: Source, uris: Sequence[str], config: ImageConfig) -> list[MeasuredImage]:
    """A look at every image of `uris`; those that cannot be decoded are left out (the shards' gate counts them)."""
    found = map_in_threads(partial(_measured, config=config), source.read(uris))
    return sorted((look for look in found if look is not None), key=lambda look: look.uri)


def _measured(readable: tuple[str, Callable[[], bytes]], config: ImageConfig) -> MeasuredImage | None:
    uri, read = readable
    try:
        image = decode(read(), config.modes, config.max_pixels)
    except BadImage:
        return None
    grey = image.convert("L")
    return MeasuredImage(
        uri, float(np.asarray(grey).mean()) / 255, perceptual_hash(grey), math.sqrt(image.width * image.height)
    )


def perceptual_hash(grey: Image.Image) -> str:
    """Whether each cell of a coarse picture is brighter than its left neighbour (dHash), as hex.

    It stays the same when a picture is scaled, recompressed or slightly brightened.
    """
    cells = np.asarray(grey.resize((HASH_SIDE + 1, HASH_SIDE), Resampling.BOX), dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def near_duplicates(sample: Sequence[MeasuredImage]) -> list[tuple[str, str]]:
    """(uri, uri of the first image that looks like it) for every look that has been seen before."""
    hashes = np.array([int(look.hash, 16) for look in sample], dtype=np.uint64)
    pairs = []
    for i in range(1, len(sample)):
        near = np.flatnonzero(np.bitwise_count(hashes[:i] ^ hashes[i]) <= NEAR)
        if len(near):
            pairs.append((sample[i].uri, sample[int(near[0])].uri))
    return pairs
