import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from rectok.data.bad_image import BadImage
from rectok.data.image_decoding import centre_crop, decode, decode_png, encode_png, prepare
from rectok.params import parse, preset_text
from tests.data.files import BAD, image_config, picture, saved
from tests.data.profiles import swapped

CONFIG = image_config()


@pytest.mark.parametrize("name", BAD)
def test_every_kind_of_bad_image_has_its_reason(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(BadImage) as bad:
        prepare(content, CONFIG)
    assert bad.value.reason == reason


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif"])
def test_whole_images_of_common_kinds_are_taken(kind: str) -> None:
    modes = ("RGB", "P")
    pixels = prepare(picture(0, (40, 50), kind=kind), CONFIG.model_copy(update={"modes": modes})).pixels
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_other_modes_are_converted_where_they_are_allowed(mode: str) -> None:
    assert decode(picture(0, mode=mode), image_config(modes=["RGB", mode])).image.mode == "RGB"


def test_the_pixel_limit_is_inclusive() -> None:
    assert decode(picture(0, (10, 10)), image_config(max_pixels=100)).image.size == (10, 10)
    with pytest.raises(BadImage, match="10×10 is more than 99"):
        decode(picture(0, (10, 10)), image_config(max_pixels=99))


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
    np.testing.assert_array_equal(prepare(encode_png(pixels), CONFIG).pixels, pixels)
    np.testing.assert_array_equal(decode_png(encode_png(pixels)), pixels)


def test_packed_png_is_read_by_others() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (7, 5))


SIDES = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def oriented(orientation: object, kind: str, pixels: np.ndarray = SIDES) -> bytes:
    """A file whose EXIF says that its pixels are to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}.get(kind, {})
    return saved(Image.fromarray(pixels), kind, exif=exif, **options)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation: int, kind: str) -> None:
    content = oriented(orientation, kind)
    image, treatments = decode(content, CONFIG)
    # EXIF 2.32, table of orientations: which side of the picture the first stored row and column are.
    upright = {
        1: SIDES, 2: SIDES[:, ::-1], 3: SIDES[::-1, ::-1], 4: SIDES[::-1], 5: SIDES.swapaxes(0, 1),
        6: SIDES[::-1].swapaxes(0, 1), 7: SIDES[::-1, ::-1].swapaxes(0, 1), 8: SIDES[:, ::-1].swapaxes(0, 1),
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(np.asarray(image), upright)
    with Image.open(io.BytesIO(content)) as theirs:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(ImageOps.exif_transpose(theirs)))
    assert treatments == (() if orientation == 1 else ("turned upright",))


def test_jpeg_and_avif_are_turned_too() -> None:
    smooth = np.asarray(Image.fromarray(SIDES[:2, :3]).resize((48, 32), Image.Resampling.BICUBIC))
    for kind in ("jpeg", "avif"):
        image, treatments = decode(oriented(6, kind, smooth), CONFIG)
        assert image.size == (32, 48)
        assert np.abs(np.asarray(image).astype(int) - smooth[::-1].swapaxes(0, 1)).mean() < 6
        assert treatments == ("turned upright",)


def test_orientation_can_be_ignored() -> None:
    image, treatments = decode(oriented(6, "png"), image_config(orientation="ignore"))
    np.testing.assert_array_equal(np.asarray(image), SIDES)
    assert treatments == ()


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0nonsense", b"\xff" * 30])
def test_a_damaged_exif_turns_nothing_and_loses_no_image(exif: bytes) -> None:
    image, treatments = decode(saved(Image.fromarray(SIDES), "png", exif=exif), CONFIG)
    np.testing.assert_array_equal(np.asarray(image), SIDES)
    assert treatments == ()


@pytest.mark.parametrize("kind", ["webp", "png", "tiff", "gif", "avif"])
def test_one_of_several_frames_is_taken_or_none(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), (80 * k, 0, 0)) for k in range(3)]
    modes = ["RGB", "P"]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match="several frames: 3 frames or pages"):
        decode(content, image_config(modes=modes))
    for frame, red in (("first", 0), ("middle", 80)):
        image, treatments = decode(content, image_config(modes=modes, frames=frame))
        np.testing.assert_allclose(image.getpixel((20, 20)), (red, 0, 0), atol=2)
        assert treatments == (f"{frame} of several frames",)


def test_a_photograph_with_further_views_in_its_file_is_one_picture() -> None:
    content = saved(Image.new("RGB", (40, 40), "red"), "mpo", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    image, treatments = decode(content, CONFIG)
    assert (image.size, treatments) == ((40, 40), ())


def test_a_large_middle_page_has_too_many_pixels() -> None:
    pages = [Image.new("RGB", (8, 8)), Image.new("RGB", (200, 200))]
    content = saved(pages[0], "tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(BadImage, match="too many pixels: 200×200"):
        decode(content, image_config(frames="middle", max_pixels=1000))


def unusual_files() -> dict[str, bytes]:
    """Files that the parameters of photographs would treat."""
    noise = np.random.default_rng(1).integers(0, 256, (70, 90, 4), dtype=np.uint8)
    rgb, rgba = Image.fromarray(noise[..., :3]), Image.fromarray(noise)
    return {
        "turned": oriented(6, "jpeg", noise[..., :3]),
        "turned TIFF": oriented(6, "tiff", noise[..., :3]),
        "profile": saved(rgb, "jpeg", icc_profile=swapped()),
        "inks": saved(rgb.convert("CMYK"), "jpeg"),
        "RGBA": saved(rgba, "png"),
        "palette": saved(rgb.quantize(64), "png", transparency=bytes(range(64))),
        "RGB with a transparent colour": saved(rgb, "png", transparency=(1, 2, 3)),
        "GIF": saved(rgb, "gif", save_all=True, append_images=[rgba.convert("RGB").rotate(180)]),
        "grey": saved(rgb.convert("L"), "jpeg"),
    }


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("name", unusual_files())
@pytest.mark.parametrize(("preset", "size"), [("imagenet256", 256), ("imagenet512", 512)])
def test_the_presets_of_imagenet_have_the_pixels_of_adms_protocol(preset: str, size: int, name: str) -> None:
    """guided-diffusion opens a file, converts it to RGB, and crops it."""
    content = unusual_files()[name]
    config = parse(preset_text(preset), preset).image
    with Image.open(io.BytesIO(content)) as image:
        expected = adm(np.asarray(image.convert("RGB")), size)
    np.testing.assert_array_equal(prepare(content, config).pixels, expected)
