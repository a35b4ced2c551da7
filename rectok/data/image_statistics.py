"""Statistics of a set of images: classes, file sizes, sides, brightness, and near duplicates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from rectok.config import Config
from rectok.data.bad_image import BadImage
from rectok.data.data_config import ImageConfig
from rectok.data.image_decoding import decode
from rectok.data.parallel_map import map_in_threads
from rectok.data.sources.image_source import ImageSource, Readable

HASH_SIDE = 8
"""Rows and columns of a perceptual hash, which has one bit per cell."""
NEAR = 3
"""The most bits in which the hashes of near duplicates differ."""


class ImageStatistics(Config):
    """Class frequencies and the median file size of all images of an index. The other fields describe a sample.

    `brightness` is the mean pixel in [0, 1], `duplicates` the fraction of near duplicates of earlier images, and
    `median_side` the median of √(width·height) in pixels. Old baselines lack it and get 0.
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
    """One image: its mean pixel in [0, 1], its perceptual hash in 16 hex digits, and √(width·height) in pixels."""

    uri: str
    brightness: float
    hash: str
    side: float


def image_statistics(
    labels: Mapping[str, int], sizes: Sequence[int], sample: Sequence[MeasuredImage]
) -> ImageStatistics:
    """The statistics of images whose numbers per class are `labels`, whose files have `sizes` in bytes, and a `sample`."""
    images = sum(labels.values())
    return ImageStatistics(
        images=images,
        classes={name: round(count / images, 6) for name, count in sorted(labels.items())},
        median_bytes=float(median(sizes)),
        sampled=len(sample),
        brightness=round(fmean(image.brightness for image in sample), 6) if sample else 0.0,
        duplicates=round(len(near_duplicates(sample)) / len(sample), 6) if sample else 0.0,
        median_side=round(median(image.side for image in sample), 3) if sample else 0.0,
    )


def measure_images(source: ImageSource, uris: Sequence[str], config: ImageConfig) -> list[MeasuredImage]:
    """Measure the images at `uris`, except those that cannot be decoded: the gate of the shards counts them."""
    images = map_in_threads(partial(_measure, config=config), source.read(uris))
    return sorted((image for image in images if image is not None), key=lambda image: image.uri)


def _measure(readable: Readable, config: ImageConfig) -> MeasuredImage | None:
    uri, read = readable
    try:
        image = decode(read(), config).image
    except BadImage:
        return None
    grey, side = image.convert("L"), math.sqrt(image.width * image.height)
    return MeasuredImage(uri, float(np.asarray(grey).mean()) / 255, perceptual_hash(grey), side)


def perceptual_hash(grey: Image.Image) -> str:
    """The difference hash (dHash) as hex: one bit per cell of a coarse image, set if the cell is brighter than its left one.

    It stays the same if an image is scaled, recompressed or slightly brightened.
    """
    cells = np.asarray(grey.resize((HASH_SIDE + 1, HASH_SIDE), Resampling.BOX), dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def near_duplicates(sample: Sequence[MeasuredImage]) -> list[tuple[str, str]]:
    """(uri, uri of the first image with nearly the same hash) for every image with a near duplicate before it."""
    hashes = np.array([int(image.hash, 16) for image in sample], dtype=np.uint64)
    pairs = []
    for i in range(1, len(sample)):
        near = np.flatnonzero(np.bitwise_count(hashes[:i] ^ hashes[i]) <= NEAR)
        if len(near):
            pairs.append((sample[i].uri, sample[int(near[0])].uri))
    return pairs
