"""From an image file's bytes to a square of pixels, with a reason for every file that cannot be taken."""

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
"""What Pillow raises for files that are cut short or scrambled."""

# Pillow's own limit warns between one and two times its value; ours, asked right after the header, knows no grey zone.
Image.MAX_IMAGE_PIXELS = None


class BadImage(Exception):
    """An image that cannot be taken; `reason` is one of a few words to count by, `detail` says more about this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def prepare(content: bytes, config: ImageConfig) -> Pixels:
    """Decode and crop: uint8 RGB [size, size, 3]. Raises BadImage."""
    image = decode(content, config.modes, config.max_pixels)
    return np.asarray(centre_crop(image, config.size, config.max_pixels))


def decode(content: bytes, modes: Sequence[str], max_pixels: int) -> Image.Image:
    """The RGB image in `content`, whose own mode must be among `modes` (Pillow's names). Raises BadImage."""
    if not content:
        raise BadImage("zero-byte file")
    image = _opened(content)
    if image.width * image.height > max_pixels:
        raise BadImage("too many pixels", f"{image.width}×{image.height} is more than {max_pixels}")
    if _is_16_bit(image):
        raise BadImage("16-bit image", image.mode)
    if image.mode not in modes:
        raise BadImage(f"mode {image.mode}", f"wanted {', '.join(modes)}")
    try:
        if image.format == "PNG":
            _verified(content)
        image.load()
    except DAMAGE as error:
        raise BadImage("truncated or damaged", str(error)) from None
    return image.convert("RGB")


def centre_crop(image: Image.Image, size: int, max_pixels: int) -> Image.Image:
    """The central square of side `size`: box-halve while the short side is ≥ 2·size, bicubic to `size`, crop.

    As ADM does (guided-diffusion, center_crop_arr). Raises BadImage for a strip that would grow beyond `max_pixels`.
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


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise BadImage("not an image") from None
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise BadImage("truncated or damaged", str(error)) from None


def _is_16_bit(image: Image.Image) -> bool:
    """Pillow opens 16-bit colour as mode RGB and drops the low bits; only the raw mode of its tiles still tells."""
    deep = image.mode.startswith("I") or image.mode == "F"
    return deep or any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def _verified(content: bytes) -> None:
    """Let Pillow check what decoding a PNG alone does not: its checksums and its last chunk. It has no such check of others."""
    with Image.open(io.BytesIO(content)) as image:
        image.verify()
