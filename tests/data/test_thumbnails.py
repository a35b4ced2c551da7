"""Small pictures of image files, whole and broken."""

import io

import numpy as np
import pytest
from PIL import Image

from rectok.data.thumbnails import SIDE, png, thumbnail
from tests.data.files import params, saved

CONFIG = params().image
HALVES = Image.fromarray(
    np.repeat(np.array([[[250, 0, 0]], [[0, 0, 250]]], np.uint8), [200, 200], axis=0).repeat(400, axis=1)
)
"""Red above blue."""


def shown(content: bytes) -> np.ndarray:
    small = thumbnail(content, CONFIG)
    assert small is not None
    return np.asarray(small)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_thumbnail_is_the_image_in_small(kind: str) -> None:
    pixels = shown(saved(HALVES, kind))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.abs(pixels[10].astype(int) - (250, 0, 0)).max() < 12
    assert np.abs(pixels[-10].astype(int) - (0, 0, 250)).max() < 12


def test_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert shown(saved(HALVES, "jpeg", exif=exif))[10, 10, 2] > 200


def test_a_jpeg_that_breaks_off_shows_its_beginning() -> None:
    content = saved(HALVES, "jpeg")
    assert shown(content[: len(content) * 3 // 4])[5, 5, 0] > 200


@pytest.mark.parametrize("content", [b"", b"no image", saved(HALVES, "png")[:60], b"%PDF-1.7"])
def test_what_cannot_be_decoded_has_none(content: bytes) -> None:
    assert thumbnail(content, CONFIG) is None


def test_a_png_file_has_the_same_pixels() -> None:
    with Image.open(io.BytesIO(png(HALVES))) as image:
        assert image.tobytes() == HALVES.tobytes()
