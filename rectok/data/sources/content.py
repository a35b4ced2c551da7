"""Whether the first bytes of a file are those of an image, for names that do not say it."""

import re

_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|BM.{4}\0\0\0\0|II\*\0|MM\0\*|P[1-7]\s"
    rb"|.{4}ftyp(avif|avis|heic|heix|hevc|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51|\xff\x0a|\0\0\0\x0cJXL |%!PS|8BPS",
    re.DOTALL,
)
"""JPEG, PNG, GIF, WebP, BMP, TIFF, PNM, AVIF, HEIC, JPEG 2000, JPEG XL, PostScript and Photoshop."""


def is_image(content: bytes) -> bool:
    """Whether a file with this `content` is meant as an image. It need not be whole, or of a format that can be read."""
    return _IMAGE.match(content[:64]) is not None
