"""The summary of an index counts what parameters of `image` decide about, from headers alone."""

from pathlib import Path

import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile

from rectok import artifacts
from rectok.data.image_headers import EVERY, FIRST, is_sampled, parameters_for
from rectok.stages import index
from tests.data.files import BAD, image_folder, params, picture, saved

PLAIN = Image.new("RGB", (40, 20), (255, 0, 0))


def turned(kind: str) -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return saved(PLAIN, kind, exif=exif)


def turned_behind() -> bytes:
    """A PNG whose EXIF stands behind its pixels."""
    exif, end = (turned("PNG").index(kind) - 4 for kind in (b"eXIf", b"IEND"))
    pixels = turned("PNG").index(b"IDAT") - 4
    return turned("PNG")[:exif] + turned("PNG")[pixels:end] + turned("PNG")[exif:pixels] + turned("PNG")[end:]


def moving(kind: str) -> bytes:
    return saved(PLAIN, kind, save_all=True, append_images=[Image.new("RGB", (40, 20))])


FILES = {
    "turned.jpg": (turned("JPEG"), ("orientation",)),
    "turned.png": (turned("PNG"), ("orientation",)),
    "turned-behind.png": (turned_behind(), ("orientation",)),
    "turned.webp": (turned("WEBP"), ("orientation",)),
    "srgb.jpg": (
        saved(PLAIN, "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        ("profile",),
    ),
    "clear.png": (saved(PLAIN.convert("RGBA"), "PNG"), ("background",)),
    "key.png": (saved(PLAIN, "PNG", transparency=(255, 0, 0)), ("background",)),
    "moving.gif": (moving("GIF"), ("frames",)),
    "pages.tiff": (moving("TIFF"), ("frames",)),
    "plain.png": (picture(1), ()),
}


@pytest.mark.parametrize("name", FILES)
def test_headers_say_which_parameters_decide_and_no_png_is_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content, parameters = FILES[name]
    decoded: list[Image.Image] = []
    monkeypatch.setattr(PngImageFile, "load", lambda image: decoded.append(image))
    assert parameters_for(content) == parameters
    assert decoded == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_does_not_stop_the_count(name: str) -> None:
    assert set(parameters_for(BAD[name][0])) <= {"background"}


def test_a_summary_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = image_folder(Path("pets"), {"cat": 4, "dog": 4})
    for name, (content, _) in FILES.items():
        (folder / "dog" / name).write_bytes(content)
    index.run(params({"source": "pets", "shards": ["00000"]}))
    headers = artifacts.read_json(artifacts.summary_file("index"))["headers"]
    assert headers == {"read": 18, "orientation": 4, "profile": 1, "background": 2, "frames": 2}


def test_few_headers_of_a_large_source_are_read() -> None:
    numbers = [number for number in range(100 * EVERY) if is_sampled(number)]
    assert numbers[:FIRST] == list(range(FIRST)) and len(numbers) <= FIRST + 100
