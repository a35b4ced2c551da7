"""From the bytes of an image file to a square of pixels, or to the reason why the file is no usable image."""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.Image import Resampling, Transpose

from rectok.data.bad_image import BadImage, damage_makes_bad_images
from rectok.data.data_config import IGNORE, ImageConfig
from rectok.data.image_colour import DEEP, mode_name, to_rgb
from rectok.data.image_formats import check_png_checksums, check_png_rows, open_image

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3]."""

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow raises for a damaged PNG of a shard."""

COMPRESSION = 1
"""The level of the PNGs of a shard. A photograph is packed three times as fast as at Pillow's level 6, for 8 % more bytes."""

TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What shows an image upright, by its EXIF orientation.

They are those of `ImageOps.exif_transpose`, which also writes the EXIF anew and fails where a camera's is unusual.
"""

# Pillow only warns between one and two times its own limit. `max_pixels`, checked right after the header, is exact.
Image.MAX_IMAGE_PIXELS = None


class DecodedImage(NamedTuple):
    """An RGB image, and what was done to its stored pixels, such as "turned upright"."""

    image: Image.Image
    treatments: tuple[str, ...]


class PreparedImage(NamedTuple):
    """uint8 RGB [size, size, 3], and what was done to the stored pixels."""

    pixels: Pixels
    treatments: tuple[str, ...]


def prepare(content: bytes, config: ImageConfig) -> PreparedImage:
    """Decode and crop. Raises BadImage."""
    image, treatments = decode(content, config)
    return PreparedImage(np.asarray(centre_crop(image, config.size, config.max_pixels)), treatments)


def decode(content: bytes, config: ImageConfig) -> DecodedImage:
    """The RGB image in `content` as `config` shows it. Raises BadImage for whatever is wrong with the file."""
    if not content:
        raise BadImage("zero-byte file")
    with damage_makes_bad_images():
        image = open_image(content)
        _check_size(image, config)
        depth = _check_mode(image, config)
        frame = _choose_frame(image, config)
        image, turn = _load(image, content, config)
        rgb, colour = to_rgb(image, config)
    return DecodedImage(rgb, (*depth, *frame, *turn, *colour))


def centre_crop(image: Image.Image, size: int, max_pixels: int) -> Image.Image:
    """The central square of side `size` as ADM crops it (arXiv 2105.05233; guided-diffusion, center_crop_arr).

    Box-halve while the short side is ≥ 2·size, scale bicubically to `size`, crop. Raises BadImage for a strip that would
    grow beyond `max_pixels`.
    """
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Resampling.BOX)
    scale = size / min(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    if width * height > max(max_pixels, size * size):
        raise BadImage("too many pixels", f"{width}×{height} after scaling is more than {max_pixels}")
    image = image.resize((width, height), Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def encode_png(pixels: Pixels) -> bytes:
    """uint8 [H, W, 3] → PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", compress_level=COMPRESSION)
    return buffer.getvalue()


def decode_png(content: bytes) -> Pixels:
    """PNG bytes → uint8 [H, W, 3]. Raises one of DAMAGE."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        return np.asarray(image)


def _check_size(image: Image.Image, config: ImageConfig) -> None:
    if image.width * image.height > config.max_pixels:
        raise BadImage("too many pixels", f"{image.width}×{image.height} is more than {config.max_pixels}")


def _check_mode(image: Image.Image, config: ImageConfig) -> list[str]:
    mode = mode_name(image)
    deep = mode.endswith(DEEP)
    if mode == "I":
        raise BadImage("mode I", "32-bit integers have no range that is black to white")
    if mode not in config.modes:
        reason = "16-bit image" if deep else f"mode {mode}"
        raise BadImage(reason, f"mode {mode} is not among image.modes, {', '.join(config.modes)}")
    if deep and "transparency" in image.info:
        raise BadImage("16-bit image", "Pillow reads a transparent colour of 8 bits only")
    return ["scaled to 8 bits"] if deep or mode == "F" else []


def _choose_frame(image: Image.Image, config: ImageConfig) -> list[str]:
    """Go to the frame or page that `config` takes. The further pictures of an MPO are thumbnails or other views of its first."""
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return []
    if config.frames == "first":
        return ["first of several frames"]
    count: int = getattr(image, "n_frames", 1)
    if config.frames == "quarantine":
        raise BadImage("several frames", f"{count} frames or pages")
    image.seek(count // 2)
    _check_size(image, config)
    return ["middle of several frames"]


def _load(image: Image.Image, content: bytes, config: ImageConfig) -> tuple[Image.Image, list[str]]:
    """Decode the pixels, and turn them upright. Pillow itself turns those of TIFFs."""
    orientation = getattr(image, "tag_v2", {}).get(Base.Orientation, 1)
    if image.format == "PNG":
        check_png_checksums(content)
        image.load()
        check_png_rows(content, image)
    else:
        image.load()
    if config.orientation != IGNORE and image.format != "TIFF":
        orientation = orientation_of(image)
        image = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    return image, ["turned upright"] if orientation in TURNS else []


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation. 1, which is upright, where the EXIF is missing or damaged: the pixels are whole nevertheless."""
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    except Exception:
        return 1
