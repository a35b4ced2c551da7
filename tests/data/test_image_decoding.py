import io

import numpy as np
import pytest
from PIL import Image

from rectok.data.data_config import ImageConfig
from rectok.data.image_decoding import BadImage, centre_crop, decode, decode_png, encode_png, prepare
from tests.data.files import BAD, picture

CONFIG = ImageConfig(size=32, modes=("RGB",), max_pixels=1_000_000, flip=False)


@pytest.mark.parametrize("name", BAD)
def test_every_kind_of_bad_image_has_its_reason(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(BadImage) as bad:
        prepare(content, CONFIG)
    assert bad.value.reason == reason


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif"])
def test_whole_images_of_common_kinds_are_taken(kind: str) -> None:
    modes = ("RGB", "P")
    pixels = prepare(picture(0, (40, 50), kind=kind), CONFIG.model_copy(update={"modes": modes}))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_other_modes_are_converted_where_they_are_allowed(mode: str) -> None:
    assert decode(picture(0, mode=mode), ("RGB", mode), 1000).mode == "RGB"


def test_the_pixel_limit_is_inclusive() -> None:
    assert decode(picture(0, (10, 10)), ("RGB",), 100).size == (10, 10)
    with pytest.raises(BadImage, match="10×10 is more than 99"):
        decode(picture(0, (10, 10)), ("RGB",), 99)


def adm(pixels: np.ndarray, size: int) -> np.ndarray:
    """The crop as guided-diffusion describes it, spelt out with boxes and slices."""
    image = Image.fromarray(pixels)
    while min(image.size) >= 2 * size:
        image = image.resize(tuple(side // 2 for side in image.size), Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize(tuple(round(side * scale) for side in image.size), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    y, x = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return array[y : y + size, x : x + size]


@pytest.mark.parametrize("width,height", [(8, 8), (32, 32), (33, 70), (500, 301), (129, 64), (63, 65)])
def test_centre_crop_is_that_of_adm(width: int, height: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    crop = np.asarray(centre_crop(Image.fromarray(pixels), 32, 10**6))
    np.testing.assert_array_equal(crop, adm(pixels, 32))


def test_an_image_of_the_right_size_is_unchanged() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(prepare(encode_png(pixels), CONFIG), pixels)
    np.testing.assert_array_equal(decode_png(encode_png(pixels)), pixels)


def test_packed_png_is_read_by_others() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (7, 5))
