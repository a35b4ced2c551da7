"""Image files, good and bad, and parameters to read them with."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rectok.data.data_config import ImageConfig
from rectok.params import Params
from rectok.params.loading import validated
from tests.project import preset


def picture(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB", kind: str = "png") -> bytes:
    """A file of random pixels that differs from every other seed's."""
    channels = {"L": 1, "P": 1, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 1}[mode]
    depth = np.uint16 if mode == "I;16" else np.uint8
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], channels)).astype(depth)
    image = Image.fromarray(
        pixels.squeeze(-1) if channels == 1 else pixels,
        None if mode in ("I;16", "RGB", "RGBA") else "L" if channels == 1 else "CMYK",
    )
    return saved(image.convert("P") if mode == "P" else image, kind)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def raw_png(width: int, height: int, bits: int, colour: int, data: bytes, interlaced: bool = False) -> bytes:
    """A PNG with any header and any pixel data."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def _flipped_bit(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


BAD: dict[str, tuple[bytes, str]] = {
    "truncated.png": (picture(1)[:-40], "truncated or damaged"),
    "no-end.png": (picture(2)[:-12], "truncated or damaged"),
    "bit-rot.png": (_flipped_bit(picture(3), 60), "truncated or damaged"),
    "truncated.jpg": (picture(4, (64, 64), kind="jpeg")[:-300], "truncated or damaged"),
    "header-only.png": (picture(5)[:20], "truncated or damaged"),
    "empty.png": (b"", "zero-byte file"),
    "grey.png": (picture(6, mode="L"), "mode L"),
    "palette.png": (picture(7, mode="P"), "mode P"),
    "alpha.png": (picture(8, mode="RGBA"), "mode RGBA"),
    "print.jpg": (picture(9, mode="CMYK", kind="jpeg"), "mode CMYK"),
    "deep-grey.png": (picture(10, mode="I;16"), "16-bit image"),
    "deep-colour.png": (raw_png(2, 2, 16, 2, bytes(2 * (1 + 12))), "16-bit image"),
    "huge.png": (raw_png(100_000, 100_000, 8, 2, bytes(10)), "too many pixels"),
    "strip.png": (picture(11, (60_000, 1)), "too many pixels"),
    "words.png": (b"this is a letter, not a picture", "not an image"),
}
"""File name → content and the reason why it is unusable (modes [RGB], size 32, at most a million pixels)."""


def params(index: dict[str, Any] | None = None, image: dict[str, Any] | None = None) -> Params:
    """The digits preset with changes to its sections `index` and `image`."""
    tree = preset("digits")
    tree["index"] |= {"watch": ".", **(index or {})}
    tree["image"] |= {"max_pixels": 1_000_000, **(image or {})}
    return validated(tree, "params.yaml")


def image_config(**changes: Any) -> ImageConfig:
    """The section `image` of the digits preset with changes."""
    return params(image=changes).image


def image_folder(root: Path, counts: dict[str, int], first_seed: int = 1000) -> Path:
    """`root/label/<n>.png` with `counts[label]` distinct images."""
    seed = first_seed
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            (root / label / f"{seed}.png").write_bytes(picture(seed))
            seed += 1
    return root
