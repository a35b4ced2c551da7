"""From the pixels of any mode to 8-bit RGB: depth, colour profile and transparency."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, ImageColor
from PIL.ImageCms import ImageCmsTransform

from rectok.data.bad_image import BadImage
from rectok.data.data_config import IGNORE, ImageConfig

DEEP = ";16"
"""Ends the names of modes whose samples have 16 bits."""
DEEP_GREY = ("I;16", "I;16L", "I;16B")
NEARLY_EQUAL = 2
"""The most levels of 255 by which a profile that counts as sRGB moves any colour."""


def mode_name(image: Image.Image) -> str:
    """The mode of an image that is not decoded yet, with `;16` behind it where a sample has 16 bits.

    Pillow opens 16-bit colour as mode RGB. Only the raw mode of its tiles tells. Its 16-bit PGM is mode I.
    """
    if image.mode in DEEP_GREY or (image.mode == "I" and image.format == "PPM"):
        return f"I{DEEP}"
    deep = image.mode != "I" and any(DEEP in str(tile.args) for tile in getattr(image, "tile", ()))
    return f"{image.mode}{DEEP}" if deep else image.mode


def to_rgb(image: Image.Image, config: ImageConfig) -> tuple[Image.Image, list[str]]:
    """`image` as 8-bit RGB, and the names of what was done to it. Raises BadImage for float values outside of [0, 1].

    A sample of 16 bits becomes its upper byte. A float v becomes 255·v.
    """
    image, alpha = _in_8_bits(image), None
    treatments: list[str] = []
    if config.background != IGNORE and image.has_transparency_data:
        image, alpha = _split(image)
    image.info.pop("transparency", None)
    if config.profile != IGNORE and image.info.get("icc_profile"):
        image, treatments = _in_srgb(image)
    rgb = image.convert("RGB")
    if alpha is not None and alpha.getextrema()[0] != 255:
        below = Image.new("RGB", rgb.size, ImageColor.getrgb(config.background)[:3])
        rgb = Image.composite(rgb, below, alpha)
        treatments.append("background put under transparency")
    return rgb, treatments


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits or of floats as mode L. Pillow's own conversion cuts values off at 255."""
    if image.mode == "F":
        values = np.asarray(image)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise BadImage("float image", "its values are not in [0, 1]")
        levels = np.rint(values * 255)
    elif image.mode in ("I", *DEEP_GREY):
        levels = np.asarray(image).astype(np.int64) >> 8
    else:
        return image
    grey = Image.fromarray(levels.astype(np.uint8))
    grey.info = dict(image.info)
    return grey


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The colours (L or RGB) and the opacity (L) of an image with transparency."""
    both = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    colours = both.convert("L" if both.mode == "LA" else "RGB")
    return colours, both.getchannel("A")


def _in_srgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """The colours of `image` by its own profile as sRGB. A profile that does not fit the image is ignored, as by viewers."""
    if image.mode not in ("L", "CMYK"):
        image = image.convert("RGB")
    transform = _to_srgb(image.info["icc_profile"], image.mode)
    if transform is None:
        return image, []
    if isinstance(transform, str):
        return image, [transform]
    return _transformed(image, transform), ["converted to sRGB"]


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCmsTransform | str | None:
    """The transform from `profile` to sRGB, None where it would change nothing, or what to call an unusable profile.

    Colorimetric with compensation of the black point, as Photoshop does it by default.
    """
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        space = str(source.profile.xcolor_space).strip()
        expected = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[space]
        # Many grey JPEGs have the RGB profile of the photograph that they were made from.
        if expected != mode and (mode, expected) != ("L", "RGB"):
            return "unusable profile ignored"
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            expected,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
        return "unusable profile ignored"
    probe = _probe("L" if mode == "L" else expected)
    moved = np.abs(_levels(_transformed(probe, transform)) - _levels(probe.convert("RGB"))).max()
    return None if moved <= NEARLY_EQUAL and mode != "CMYK" else transform


def _transformed(image: Image.Image, transform: ImageCmsTransform) -> Image.Image:
    """A grey image whose profile is one of RGB goes through RGB."""
    image = image if image.mode == transform.input_mode else image.convert(transform.input_mode)
    return ImageCms.applyTransform(image, transform)  # type: ignore[return-value]


def _probe(mode: str) -> Image.Image:
    """All greys, or 17 levels of every channel."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(colours.reshape(17, -1, 3)).convert(mode)


def _levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.int16)
