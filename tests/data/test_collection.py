from pathlib import Path

import pytest
from PIL import Image

from rectok.data.collection import look_at
from rectok.errors import UserError
from rectok.params import parse, preset_text
from tests.data.files import BAD, image_folder, picture, saved

CONFIG = parse(preset_text("photos"), "params.yaml").image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path, {"cat": 5, "dog": 3})


def turned() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return saved(Image.new("RGB", (40, 20), (255, 0, 0)), "JPEG", exif=exif)


def test_classes_and_duplicates_are_those_of_the_index(folder: Path) -> None:
    (folder / "dog/again.png").write_bytes((folder / "dog/1005.png").read_bytes())
    (folder / "cat/notes.txt").write_text("none")
    (folder / "top.png").write_bytes(picture(7))
    collection = look_at(str(folder), "auto", "", CONFIG)
    assert collection.classes == {"cat": 5, "dog": 3}
    assert collection.summary == {"found": 9, "images": 8, "duplicates": 1, "contradictory": 0}
    assert collection.left_out == {"beside the class folders": 1, "not an image": 1}


def test_formats_modes_and_sides_are_those_of_the_files(folder: Path) -> None:
    (folder / "cat/grey.png").write_bytes(picture(1, (30, 50), "L"))
    (folder / "cat/clear.png").write_bytes(saved(Image.new("RGBA", (90, 60), (0, 0, 0, 0)), "PNG"))
    (folder / "cat/phone.jpg").write_bytes(turned())
    collection = look_at(str(folder), "auto", "", CONFIG)
    assert collection.counts("format") == {"PNG": 10, "JPEG": 1}
    assert collection.counts("mode") == {"RGB": 9, "L": 1, "RGBA": 1}
    assert sorted(look.side for look in collection.usable) == [8] * 8 + [20, 30, 60]
    assert collection.side == 8
    assert collection.counts("treatments") == {"turned upright": 1, "background put under transparency": 1}


def test_unusable_files_are_counted_by_the_reason_of_their_quarantine(folder: Path) -> None:
    names = ("truncated.png", "empty.png", "huge.png", "words.png")
    for name in names:
        (folder / "dog" / name).write_bytes(BAD[name][0])
    collection = look_at(str(folder), "auto", "", CONFIG)
    assert collection.counts("unusable") == {BAD[name][1]: 1 for name in names}
    assert len(collection.usable) == 8


def test_images_without_labels(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(picture(seed))
    assert look_at(str(tmp_path), "none", "", CONFIG).classes == {"unlabelled": 3}
    with pytest.raises(UserError, match="holds no images in folders"):
        look_at(str(tmp_path), "auto", "", CONFIG)
