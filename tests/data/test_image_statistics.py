import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from rectok.data.image_statistics import (
    MeasuredImage,
    image_statistics,
    measure_images,
    near_duplicates,
    perceptual_hash,
)
from rectok.data.sources.opening import open_source
from tests.data.files import params, picture


def photograph(seed: int = 0) -> Image.Image:
    """Smooth shades, as a photograph has."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6)).astype(np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


def distance(one: Image.Image, other: Image.Image) -> int:
    return (int(perceptual_hash(one), 16) ^ int(perceptual_hash(other), 16)).bit_count()


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=60)
    return Image.open(io.BytesIO(buffer.getvalue()))


def test_a_hash_survives_scaling_compression_and_light_and_tells_pictures_apart() -> None:
    image = photograph()
    assert distance(image, image.resize((48, 48), Image.Resampling.BOX)) <= 3
    assert distance(image, recompressed(image)) <= 3
    assert distance(image, ImageEnhance.Brightness(image).enhance(0.8)) <= 3
    assert min(distance(image, photograph(seed)) for seed in range(1, 20)) > 12


def test_figures_of_a_set() -> None:
    hashes = {"a": "00", "b": "00", "c": "ff", "d": "00"}
    sample = [MeasuredImage(uri, n / 5, hashes[uri], 2.0 * n) for n, uri in enumerate("abcd", 1)]
    statistics = image_statistics({"cat": 3, "dog": 1}, [10, 20, 90, 40], sample)
    assert statistics.classes == {"cat": 0.75, "dog": 0.25}
    assert (statistics.images, statistics.median_bytes, statistics.sampled) == (4, 30.0, 4)
    assert statistics.brightness == pytest.approx(0.5)
    assert statistics.duplicates == 0.5
    assert statistics.median_side == 5.0
    assert near_duplicates(sample) == [("b", "a"), ("d", "a")]
    assert near_duplicates(
        [MeasuredImage("a", 0, "00", 8), MeasuredImage("b", 0, "07", 8), MeasuredImage("c", 0, "f0", 8)]
    ) == [("b", "a")]


def test_images_are_looked_at_in_the_source_and_bad_ones_left_out(tmp_path: Path) -> None:
    for name, content in {"grey.png": picture(1, mode="L"), "cut.png": picture(2)[:-40]}.items():
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "cat" / name).write_bytes(content)
    Image.new("RGB", (8, 8), (255, 255, 255)).save(tmp_path / "cat" / "white.png")
    uris = ["cat/white.png", "cat/cut.png", "cat/grey.png"]
    [white] = measure_images(open_source(str(tmp_path)), uris, params().image)
    assert (white.uri, white.brightness, white.hash, white.side) == ("cat/white.png", 1.0, "0" * 16, 8.0)
