"""What is opened and what is not; damage of any kind quarantines one file and raises nothing else."""

import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from rectok.data.bad_image import BadImage
from rectok.data.image_decoding import prepare
from rectok.data.image_formats import FORMATS
from tests.data.files import image_config, raw_png, saved
from tests.data.profiles import cyan_is_black, swapped

MODES = ["RGB", "L", "1", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "F", "RGB;16"]
CONFIG = image_config(modes=MODES, frames="middle", max_pixels=4096, background="black")
NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)
MUTATIONS = 10_000


def reason(content: bytes) -> str:
    with pytest.raises(BadImage) as bad:
        prepare(content, CONFIG)
    return str(bad.value)


def box(major: bytes, *compatible: bytes) -> bytes:
    brands = major + bytes(4) + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"),
        ("EPS", bytes.fromhex("c5d0d3c6") + bytes(40)),
        ("PDF", b"%PDF-1.7\n"),
        ("PSD", b"8BPS\0\1" + bytes(20)),
        ("ICO", saved(Image.fromarray(NOISE), "ico")),
        ("DDS", saved(Image.fromarray(NOISE), "dds")),
        ("QOI", saved(Image.fromarray(NOISE), "qoi")),
        ("JPEG XL", b"\xff\x0a" + bytes(20)),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("OpenEXR", b"v/1\x01" + bytes(20)),
        ("Radiance HDR", b"#?RADIANCE\n"),
    ],
)
def test_other_formats_are_refused_by_name(name: str, content: bytes) -> None:
    assert reason(content).startswith(f"format {name}: the formats that are read are JPEG, PNG, ")


@pytest.mark.parametrize("content", [box(b"heic", b"mif1", b"heic"), box(b"mif1", b"heix"), box(b"msf1")])
def test_heic_is_refused_with_what_to_do(content: bytes) -> None:
    message = "format HEIC: convert it to JPEG or PNG, for example with heif-convert of libheif"
    assert reason(content + bytes(64)) == message


@pytest.mark.parametrize("kind", ["tga", "sgi", "pcx", "msp"])
def test_formats_that_hold_no_photographs_today_are_no_images(kind: str) -> None:
    image = Image.fromarray(NOISE[..., :3]).convert("1" if kind == "msp" else "RGB")
    assert reason(saved(image, kind)).startswith("not an image: the formats that are read are JPEG")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_png_whose_data_ends_early_is_damaged(rows: int, interlaced: bool) -> None:
    row = b"\0" + bytes(range(1, 25))
    content = raw_png(8, 8, 8, 2, row * rows, interlaced)
    assert reason(content).startswith("truncated or damaged")


def test_a_png_that_ends_with_black_rows_is_whole() -> None:
    black = NOISE[..., :3].copy()
    black[8:] = 0
    for content in (saved(Image.fromarray(black), "png"), saved(Image.fromarray(black[..., 0]), "png")):
        assert prepare(content, CONFIG.model_copy(update={"size": 16})).pixels[8:].max() == 0


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize(("bits", "colour", "channels"), [(8, 2, 3), (1, 0, 1), (4, 0, 1), (8, 6, 4)])
def test_a_whole_interlaced_png_is_taken(side: int, bits: int, colour: int, channels: int) -> None:
    """Rows per pass by Adam7's picture of one 8×8 block, pixel by pixel."""
    block = np.array(
        [
            [1, 6, 4, 6, 2, 6, 4, 6],
            [7] * 8,
            [5, 6] * 4,
            [7] * 8,
            [3, 6, 4, 6, 3, 6, 4, 6],
            [7] * 8,
            [5, 6] * 4,
            [7] * 8,
        ]
    )
    passes = np.tile(block, (2, 2))[:side, :side]
    data = b""
    for number in range(1, 8):
        columns = [int((row == number).sum()) for row in passes]
        data += b"".join(b"\0" + bytes(-(-count * bits * channels // 8)) for count in columns if count)
    assert prepare(raw_png(side, side, bits, colour, data, True), CONFIG).pixels.max() == 0
    if side > 1:
        assert "truncated or damaged" in reason(raw_png(side, side, bits, colour, data[:-1], True))


def moving(kind: str) -> bytes:
    """A file of three frames or pages."""
    first, *others = [Image.fromarray(np.roll(NOISE[..., :3], k, 0)) for k in range(3)]
    return saved(first, kind, save_all=True, append_images=others)


def small_files() -> dict[str, bytes]:
    """A small valid file of every accepted format, and of the variants that take another way through a decoder."""
    rgba, rgb = Image.fromarray(NOISE), Image.fromarray(NOISE[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "JPEG": saved(rgb, "jpeg", exif=exif, icc_profile=swapped()),
        "JPEG progressive": saved(rgb, "jpeg", progressive=True, subsampling=0),
        "JPEG CMYK": saved(rgb.convert("CMYK"), "jpeg", icc_profile=cyan_is_black()),
        "MPO": moving("mpo"),
        "PNG": saved(rgba, "png", exif=exif, icc_profile=swapped()),
        "PNG palette": saved(rgb.quantize(16), "png", transparency=3),
        "PNG 16 bits": saved(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "png"),
        "APNG": moving("png"),
        "GIF": moving("gif"),
        "BMP": saved(rgb, "bmp"),
        "PPM": saved(rgb, "ppm"),
        "WEBP": saved(rgba, "webp", lossless=True, exif=exif),
        "WEBP moving": moving("webp"),
        "TIFF": saved(rgb, "tiff", exif=exif),
        "TIFF LZW": saved(rgb, "tiff", compression="tiff_lzw"),
        "TIFF pages": moving("tiff"),
        "TIFF float": saved(Image.fromarray((NOISE[..., 0] / 255).astype(np.float32)), "tiff"),
        "AVIF": saved(rgba, "avif", exif=exif, speed=10),
        "JPEG2000": saved(rgb, "jpeg2000"),
    }


def mutated(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies: other bytes, cuts, gaps, repetitions, and fields of four bytes with extreme values."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(content)
        for _ in range(int(random.integers(1, 4))):
            # Half of the damage is in the first 64 bytes, where the sizes and offsets are.
            place = int(random.integers(0, min(64, len(data)) if random.random() < 0.5 else len(data)))
            length = int(random.integers(1, 16))
            match int(random.integers(0, 5)):
                case 0:
                    data[place] = int(random.integers(0, 256))
                case 1:
                    data[place : place + 4] = random.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1"])
                case 2:
                    del data[place : place + length]
                case 3:
                    data[place:place] = data[place : place + length]
                case 4:
                    del data[max(place, len(data) // 2) :]
            data = data or bytearray(b"\0")
        yield bytes(data)


def test_every_format_has_a_small_file() -> None:
    files = small_files()
    assert set(FORMATS) <= set(files)
    for name, content in files.items():
        assert prepare(content, CONFIG).pixels.shape == (32, 32, 3), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage that it repairs
def test_ten_thousand_damaged_files_are_taken_or_quarantined() -> None:
    files = small_files()
    outcomes = {"taken": 0, "quarantined": 0}
    for number, content in enumerate(files.values()):
        for copy in mutated(content, -(-MUTATIONS // len(files)), number):
            try:
                prepare(copy, CONFIG)
                outcomes["taken"] += 1
            except BadImage as bad:
                bad.detail.encode()
                outcomes["quarantined"] += 1
    assert sum(outcomes.values()) >= MUTATIONS
    assert min(outcomes.values()) > MUTATIONS // 20


def test_a_checksum_is_checked_where_the_pixels_are_whole() -> None:
    content = bytearray(saved(Image.fromarray(NOISE), "png"))
    start = content.index(b"IDAT")
    size = int.from_bytes(content[start - 4 : start], "big")
    checksum = zlib.crc32(content[start : start + 4 + size])
    assert content[start + 4 + size : start + 8 + size] == checksum.to_bytes(4, "big")
    content[start + 4 + size] ^= 1
    assert reason(bytes(content)).startswith("truncated or damaged")
