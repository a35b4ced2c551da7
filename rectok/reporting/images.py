"""Grids of images as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rectok.data.thumbnails import png
from rectok.files import write_bytes

Pixels = NDArray[np.uint8]
GAP = 2
COLUMNS = 10
"""Images in a row of previews and grids."""
PREVIEW_SIDE = 96
"""Smaller images are enlarged by a whole factor to about this side, so that a person can see them."""


def grid(images: Pixels, columns: int) -> Pixels:
    """Tile [N, 3, H, W] into RGBA [rows·(H + gap) − gap, columns·(W + gap) − gap, 4]; gaps are transparent for any page."""
    count, _, height, width = images.shape
    rows = -(-count // columns)
    canvas = np.zeros((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 4), np.uint8)
    for position, image in enumerate(images):
        top, left = position // columns * (height + GAP), position % columns * (width + GAP)
        tile = canvas[top : top + height, left : left + width]
        tile[..., :3], tile[..., 3] = image.transpose(1, 2, 0), 255
    return canvas


def enlarged(images: Pixels) -> Pixels:
    """Small images [N, 3, H, W] repeated pixel by pixel to a side near PREVIEW_SIDE; others as they are."""
    factor = max(1, round(PREVIEW_SIDE / images.shape[-1]))
    return images.repeat(factor, axis=2).repeat(factor, axis=3)


def write_png(path: Path, picture: Pixels) -> None:
    """Write a picture [H, W, 3 or 4] atomically."""
    write_bytes(path, png(Image.fromarray(picture)))


def spaced_classes(labels: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """At most `rows` of the classes among `labels`, evenly spaced."""
    classes = np.unique(labels)
    chosen: NDArray[np.int64] = classes[np.linspace(0, len(classes) - 1, min(rows, len(classes))).round().astype(int)]
    return chosen


def fewest(labels: NDArray[np.int64]) -> int:
    """How many images the smallest class has, of those that have any."""
    return int(np.unique(labels, return_counts=True)[1].min())


def by_class(images: Pixels, labels: NDArray[np.int64], rows: int, columns: int) -> Pixels:
    """At most `rows` classes, evenly spaced, with `columns` images each, one class after the other."""
    chosen = spaced_classes(labels, rows)
    positions = np.concatenate([np.flatnonzero(labels == label)[:columns] for label in chosen])
    picked: Pixels = images[positions]
    return picked


def side_by_side(pairs: Sequence[Pixels], columns: int) -> Pixels:
    """Rows of `columns` images from each set in turn, so that what belongs together stands one above the other."""
    blocks = [
        np.concatenate([images[start : start + columns] for images in pairs])
        for start in range(0, len(pairs[0]), columns)
    ]
    return np.concatenate(blocks)
