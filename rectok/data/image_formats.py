"""Image formats: which ones are opened, what the others are called, and PNGs that end before their last row."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from rectok.data.bad_image import DAMAGED, BadImage

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000")
"""Names in Pillow of the formats that are opened. Pillow would open others with programs, such as EPS with Ghostscript."""

OTHER_FORMATS = {
    "EPS": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "PDF": (b"%PDF",),
    "PSD": (b"8BPS",),
    "SVG": (b"<svg",),
    "ICO": (b"\0\0\1\0",),
    "DDS": (b"DDS ",),
    "QOI": (b"qoif",),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "OpenEXR": (b"v/1\x01",),
    "Radiance HDR": (b"#?",),
}
"""First bytes of files that people take for photographs."""
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}

PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel of each colour type (PNG specification, section 11.2.1)."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row of each pass of an interlaced PNG, and its steps in both (section 8.1)."""


def open_image(content: bytes) -> Image.Image:
    """The image whose header is in `content`. Its pixels are not decoded yet. Raises BadImage for a format not in FORMATS."""
    readable = f"the formats that are read are {', '.join(FORMATS)}"
    if _is_heic(content):
        raise BadImage("format HEIC", "convert it to JPEG or PNG, for example with heif-convert of libheif")
    for name, starts in OTHER_FORMATS.items():
        if content.startswith(starts):
            raise BadImage(f"format {name}", readable)
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        reason = DAMAGED if content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) else "not an image"
        raise BadImage(reason, readable if reason != DAMAGED else "its header is unreadable") from None


def check_png_checksums(content: bytes) -> None:
    """Raise SyntaxError or OSError for a wrong checksum or a missing last chunk. Decoding alone ignores both."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        image.verify()


def check_png_rows(content: bytes, image: Image.Image) -> None:
    """Raise BadImage for a PNG whose data ends before its last row. Pillow leaves such rows at zero.

    The data is decompressed a second time only where the last row of the decoded `image` is zero, or the file interlaced.
    """
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", content[16:29])
    if not interlaced and any(image.crop((0, image.height - 1, image.width, image.height)).tobytes()):
        return
    expected = _png_size(width, height, bits * PNG_CHANNELS[colour], bool(interlaced))
    data = b"".join(chunk for kind, chunk in png_chunks(content) if kind == b"IDAT")
    size = len(zlib.decompressobj().decompress(data, expected))
    if size < expected:
        raise BadImage(DAMAGED, f"its pixel data has {size} bytes instead of {expected}")


def _is_heic(content: bytes) -> bool:
    """Whether the first box names brands of HEIF (ISO/IEC 23008-12) and none of AVIF."""
    if content[4:8] != b"ftyp":
        return False
    box = content[8 : min(int.from_bytes(content[:4], "big"), 256)]
    brands = {box[i : i + 4] for i in range(0, len(box), 4)}
    return bool(brands & HEIF_BRANDS) and not brands & AVIF_BRANDS


def _png_size(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Bytes of the pixel data of a PNG. Each row has one byte more, its filter."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk of a PNG."""
    position = 8
    while position + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        yield kind, content[position + 8 : position + 8 + size]
        position += 12 + size
