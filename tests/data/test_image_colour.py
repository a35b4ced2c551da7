"""Depth, colour profile and transparency: what the packed pixels are, against values worked out by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from rectok.data.bad_image import BadImage
from rectok.data.image_decoding import decode
from rectok.errors import UserError
from tests.data.files import image_config, raw_png, saved
from tests.data.profiles import cyan_is_black, linear_grey, srgb, swapped

MODES = ["RGB", "L", "1", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "I", "F", "RGB;16", "RGBA;16"]
NOISE = np.random.default_rng(0).integers(0, 256, (8, 9, 4), dtype=np.uint8)
CLEAR_RED = Image.new("RGBA", (4, 4), (255, 0, 0, 0))


def shown(content: bytes, **changes: object) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels [H, W, 3] as integers, and the treatments."""
    image, treatments = decode(content, image_config(modes=MODES, **changes))
    assert image.mode == "RGB"
    return np.asarray(image).astype(int), treatments


@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
def test_grey_of_16_bits_keeps_its_upper_byte(kind: str) -> None:
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    pixels, treatments = shown(saved(Image.fromarray(values), kind))
    np.testing.assert_array_equal(pixels, np.repeat([[[0], [0], [1]], [[128], [254], [255]]], 3, axis=2))
    assert treatments == ("scaled to 8 bits",)


def test_colour_of_16_bits_keeps_its_upper_byte() -> None:
    rows = b"\0" + np.array([0, 32768, 65535, 255, 256, 511], dtype=">u2").tobytes()
    pixels, treatments = shown(raw_png(2, 1, 16, 2, rows))
    np.testing.assert_array_equal(pixels, [[[0, 128, 255], [0, 1, 1]]])
    assert treatments == ("scaled to 8 bits",)


def test_a_transparent_colour_of_16_bits_is_refused() -> None:
    grey = Image.fromarray(np.array([[0, 65535]], dtype=np.uint16))
    with pytest.raises(BadImage, match="16-bit image: Pillow reads a transparent colour of 8 bits only"):
        shown(saved(grey, "png", transparency=65535))


def test_floats_of_zero_to_one_are_scaled_and_others_refused() -> None:
    values = np.array([[0, 0.1, 0.5], [0.501, 0.999, 1]], dtype=np.float32)
    pixels, treatments = shown(saved(Image.fromarray(values), "tiff"))
    np.testing.assert_array_equal(pixels[..., 1], [[0, 26, 128], [128, 255, 255]])
    assert treatments == ("scaled to 8 bits",)
    for wrong in (1.5, -0.1, np.nan, np.inf):
        values[0, 0] = wrong
        with pytest.raises(BadImage, match=r"float image: its values are not in \[0, 1\]"):
            shown(saved(Image.fromarray(values), "tiff"))


def test_integers_of_32_bits_have_no_range_and_are_refused() -> None:
    with pytest.raises(BadImage, match="32-bit"):
        shown(saved(Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)), "tiff"))


def test_a_palette_shows_its_colours() -> None:
    stored = Image.fromarray(NOISE[..., :3]).quantize(16)
    pixels, treatments = shown(saved(stored, "png"))
    palette = np.array(stored.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(pixels, palette[np.asarray(stored)])
    assert treatments == ()


def test_one_bit_is_black_or_white() -> None:
    bits = NOISE[..., 0] > 127
    pixels, _ = shown(saved(Image.fromarray(bits), "png"))
    np.testing.assert_array_equal(pixels, np.repeat(bits[..., None] * 255, 3, axis=2))


def transparent_files() -> dict[str, bytes]:
    """Files whose left half is clear and whose right half is (0, 0, 255), or grey 100 where there is no colour."""
    rgba = Image.new("RGBA", (4, 4), (0, 0, 255, 255))
    rgba.paste((255, 0, 0, 0), (0, 0, 2, 4))
    rgb = Image.new("RGB", (4, 4), (0, 0, 255))
    rgb.paste((9, 8, 7), (0, 0, 2, 4))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 8, 7, 0, 0, 255])
    palette.paste(0, (0, 0, 2, 4))
    grey = Image.new("LA", (4, 4), (100, 255))
    grey.paste((7, 0), (0, 0, 2, 4))
    return {
        "RGBA": saved(rgba, "png"),
        "RGBA in WebP": saved(rgba, "webp", lossless=True, exact=True),
        "RGBA in TIFF": saved(rgba, "tiff"),
        "RGB with a transparent colour": saved(rgb, "png", transparency=(9, 8, 7)),
        "palette with a transparent entry": saved(palette, "png", transparency=0),
        "palette with an opacity per entry": saved(palette, "png", transparency=bytes([0, 255])),
        "GIF": saved(palette, "gif", transparency=0),
        "LA": saved(grey, "png"),
        "L with a transparent level": saved(grey.getchannel("L"), "png", transparency=7),
    }


@pytest.mark.parametrize("name", transparent_files())
@pytest.mark.parametrize(("background", "below"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_the_background_shows_under_transparency(name: str, background: str, below: tuple[int, ...]) -> None:
    pixels, treatments = shown(transparent_files()[name], background=background)
    np.testing.assert_array_equal(pixels[:, :2], np.broadcast_to(below, (4, 2, 3)))
    opaque = (100,) * 3 if name.startswith("L") else (0, 0, 255)
    np.testing.assert_array_equal(pixels[:, 2:], np.broadcast_to(opaque, (4, 2, 3)))
    assert treatments == ("background put under transparency",)


def test_half_transparent_is_half_of_both() -> None:
    pixels, _ = shown(saved(Image.new("RGBA", (2, 2), (200, 0, 100, 128)), "png"), background="black")
    np.testing.assert_allclose(pixels[0, 0], np.array([200, 0, 100]) * 128 / 255, atol=0.5)


def test_an_opaque_image_is_not_treated() -> None:
    opaque = NOISE.copy()
    opaque[..., 3] = 255
    pixels, treatments = shown(saved(Image.fromarray(opaque), "png"))
    np.testing.assert_array_equal(pixels, opaque[..., :3])
    assert treatments == ()


def test_hidden_colours_stay_where_transparency_is_ignored() -> None:
    pixels, treatments = shown(saved(CLEAR_RED, "png"), background="ignore")
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert treatments == ()


def test_an_srgb_profile_changes_nothing() -> None:
    stored = Image.fromarray(NOISE[..., :3])
    pixels, treatments = shown(saved(stored, "png", icc_profile=srgb()))
    np.testing.assert_array_equal(pixels, np.asarray(stored))
    assert treatments == ()


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_colours_follow_the_profile(kind: str) -> None:
    stored = Image.fromarray(NOISE[..., :3])
    content = saved(stored, kind, icc_profile=swapped(), **({"lossless": True} if kind == "webp" else {}))
    pixels, treatments = shown(content)
    np.testing.assert_allclose(pixels, np.asarray(stored)[..., [1, 0, 2]], atol=1)
    assert treatments == ("converted to sRGB",)
    np.testing.assert_array_equal(shown(content, profile="ignore")[0], np.asarray(stored))


def test_a_palette_and_transparent_colours_follow_the_profile_but_the_background_does_not() -> None:
    stored = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    stored.paste((0, 0, 0, 0), (0, 0, 2, 4))
    pixels, treatments = shown(saved(stored, "png", icc_profile=swapped()), background="#ff0000")
    np.testing.assert_allclose(pixels[0], [[255, 0, 0]] * 2 + [[0, 255, 0]] * 2, atol=1)
    assert treatments == ("converted to sRGB", "background put under transparency")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([255, 0, 0])
    np.testing.assert_allclose(shown(saved(palette, "png", icc_profile=swapped()))[0][0, 0], [0, 255, 0], atol=1)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_has_its_own_gamma(mode: str) -> None:
    pixels, treatments = shown(saved(Image.new("L", (4, 4), 128).convert(mode), "png", icc_profile=linear_grey()))
    expected = 255 * (1.055 * (128 / 255) ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    np.testing.assert_allclose(pixels, expected, atol=1.5)
    assert treatments == ("converted to sRGB",)


def test_the_profile_of_a_press_decides_on_its_inks() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    inks.paste((0, 255, 255, 0), (8, 0, 16, 16))
    pixels, treatments = shown(saved(inks, "tiff", icc_profile=cyan_is_black()))
    np.testing.assert_allclose(pixels[0, [0, 15]], [[0, 0, 0], [255, 255, 255]], atol=2)
    assert treatments == ("converted to sRGB",)
    pixels, _ = shown(saved(inks, "tiff", icc_profile=cyan_is_black()), profile="ignore")
    np.testing.assert_array_equal(pixels[0, [0, 15]], [[0, 255, 255], [255, 0, 0]])


def test_grey_with_the_profile_of_its_photograph_stays_grey() -> None:
    stored = Image.fromarray(NOISE[..., 0])
    pixels, treatments = shown(saved(stored, "png", icc_profile=srgb()))
    np.testing.assert_array_equal(pixels, np.repeat(np.asarray(stored)[..., None], 3, axis=2))
    assert treatments == ()


@pytest.mark.parametrize("profile", [b"no profile", srgb()[:200], cyan_is_black(), linear_grey()])
def test_a_profile_that_does_not_fit_is_ignored_and_counted(profile: bytes) -> None:
    stored = Image.fromarray(NOISE[..., :3])
    pixels, treatments = shown(saved(stored, "png", icc_profile=profile))
    np.testing.assert_array_equal(pixels, np.asarray(stored))
    assert treatments == ("unusable profile ignored",)


def test_a_background_that_is_no_colour_is_refused() -> None:
    with pytest.raises(
        UserError, match="background is 'wihte', but must be white, gray, black, ignore or such as '#102030'"
    ):
        image_config(background="wihte")


def test_reads_png_metadata_behind_the_pixels() -> None:
    """A PNG may hold its eXIf chunk behind its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 3
    content = saved(Image.fromarray(NOISE[..., :3]), "png", exif=exif)
    start = content.index(b"eXIf") - 4
    size = 12 + int.from_bytes(content[start : start + 4], "big")
    moved = content[:start] + content[start + size : -12] + content[start : start + size] + content[-12:]
    assert Image.open(io.BytesIO(moved)).size == (9, 8)
    np.testing.assert_array_equal(shown(moved)[0], NOISE[::-1, ::-1, :3])
