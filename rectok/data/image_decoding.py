"""From the bytes of an image file to a square of pixels, or to the reason why the file is no usable image."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.Image import Resampling

from rectok.data.data_config import ImageConfig

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3]."""

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
"""What Pillow raises for truncated and damaged files."""

# Pillow only warns between one and two times its own limit. `max_pixels`, checked right after the header, is exact.
Image.MAX_IMAGE_PIXELS = None


class BadImage(Exception):
    """An unusable image. `reason` is one of a few phrases to count by, `detail` describes this image."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def prepare(content: bytes, config: ImageConfig) -> Pixels:
    """Decode and crop: uint8 RGB [size, size, 3]. Raises BadImage."""
    image = decode(content, config.modes, config.max_pixels)
    return np.asarray(centre_crop(image, config.size, config.max_pixels))


def decode(content: bytes, modes: Sequence[str], max_pixels: int) -> Image.Image:
    """The RGB image in `content`. Its own mode must be one of `modes` (Pillow's names). Raises BadImage."""
    if not content:
        raise BadImage("zero-byte file")
    image = _open(content)
    if image.width * image.height > max_pixels:
        raise BadImage("too many pixels", f"{image.width}×{image.height} is more than {max_pixels}")
    if _is_16_bit(image):
        raise BadImage("16-bit image", image.mode)
    if image.mode not in modes:
        raise BadImage(f"mode {image.mode}", f"wanted {', '.join(modes)}")
    try:
        if image.format == "PNG":
            _verify_png(content)
        image.load()
    except DAMAGE as error:
        raise BadImage("truncated or damaged", str(error)) from None
    return image.convert("RGB")


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
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def decode_png(content: bytes) -> Pixels:
    """PNG bytes → uint8 [H, W, 3]. Raises one of DAMAGE."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        return np.asarray(image)


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise BadImage("not an image") from None
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise BadImage("truncated or damaged", str(error)) from None


def _is_16_bit(image: Image.Image) -> bool:
    """Pillow opens 16-bit colour as mode RGB and drops the low bits. Only the raw mode of its tiles shows them."""
    deep = image.mode.startswith("I") or image.mode == "F"
    return deep or any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def _verify_png(content: bytes) -> None:
    """Check the checksums and the last chunk of a PNG, which decoding alone does not. Pillow has no such check of others."""
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
