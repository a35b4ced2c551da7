"""Labels from the names of folders: splits are no classes, and an archive's own folder is none."""

from pathlib import Path
from typing import Any

import pytest

from rectok.data.sources.folder_labels import annotate_folders, folder_of, only_splits
from rectok.data.sources.names import Annotation
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, write_folder, write_tar, write_zip


def test_the_outermost_folders_matter() -> None:
    assert [folder_of(name) for name in ("1.png", "a/1.png", "a/b/c/d/e/f/g/1.png")] == ["", "a", "a/b/c/d/e/f"]


@pytest.mark.parametrize(
    "folders,packed,expected",
    [
        (["cat", "dog"], True, {"cat": ("cat", None), "dog": ("dog", None)}),
        (["photos/cat", "photos/dog/x"], True, {"photos/cat": ("cat", None), "photos/dog/x": ("dog", None)}),
        (["photos/cat", "photos/dog"], False, {"photos/cat": ("photos", None), "photos/dog": ("photos", None)}),
        (["p/train/cat", "p/val/cat"], True, {"p/train/cat": ("cat", "train"), "p/val/cat": ("cat", "val")}),
        (["a/b/c/cat/x", "a/b/c/dog"], True, {"a/b/c/cat/x": ("cat", None), "a/b/c/dog": ("dog", None)}),
        (
            ["a/b/p/train/cat", "a/b/p/val/cat"],
            True,
            {"a/b/p/train/cat": ("cat", "train"), "a/b/p/val/cat": ("cat", "val")},
        ),
        (["a/b/cat"], True, {"a/b/cat": ("cat", None)}),
        (["a", "a/b/cat", "a/b/dog"], True, {"a": None, "a/b/cat": ("cat", None), "a/b/dog": ("dog", None)}),
        (["train/cat", "train/dog"], True, {"train/cat": ("cat", "train"), "train/dog": ("dog", "train")}),
        (["cat"], True, {"cat": ("cat", None)}),
        (["photos", "photos/cat"], True, {"photos": None, "photos/cat": ("cat", None)}),
        (["train/cat", "train"], False, {"train/cat": ("cat", "train"), "train": None}),
        (["Train/cat", "VALID"], False, {"Train/cat": ("cat", "train"), "VALID": None}),
        (["train", "bus"], False, {"train": ("train", None), "bus": ("bus", None)}),
        (["train", "test"], False, {"train": ("train", None), "test": ("test", None)}),
        (["p_train/cat", "p_test/dog"], True, {"p_train/cat": ("cat", "train"), "p_test/dog": ("dog", "test")}),
        (["train2017/cat", "val2017/cat"], False, {"train2017/cat": ("cat", "train"), "val2017/cat": ("cat", "val")}),
        (["a/cat", "b/dog"], True, {"a/cat": ("a", None), "b/dog": ("b", None)}),
        ([], True, {}),
    ],
)
def test_folders_become_labels(folders: list[str], packed: bool, expected: dict[str, Any]) -> None:
    annotations = annotate_folders(folders, packed)
    assert annotations == {name: value and Annotation(*value) for name, value in expected.items()}


@pytest.mark.parametrize(
    "labels,only",
    [
        (["train", "test"], True),
        (["Training", "VAL", "dev"], True),
        (["train2017", "val2017"], True),
        (["photos_train", "photos_test"], True),
        (["train"], True),
        (["train", "bus"], False),
        (["cats_train", "dogs_test"], False),
        (["test tube", "flask"], False),
        (["contest", "training wheels"], False),
    ],
)
def test_labels_that_differ_by_the_split_alone_are_no_classes(labels: list[str], only: bool) -> None:
    assert only_splits(labels) is only


@pytest.mark.parametrize("writer", [write_tar, write_zip])
def test_the_folder_that_an_archive_holds_is_no_class(tmp_path: Path, writer: Any) -> None:
    files = {
        "photos/cover.png": b"-", "__MACOSX/photos/cat/._1.png": b"-", "photos/cat/1.png": b"1", "photos/cat/._1.png": b"-",
        "photos/dog/2.png": b"2",
    }  # fmt: skip
    path = writer(tmp_path / f"photos.{'tar' if writer is write_tar else 'zip'}", files)
    assert annotated(path) == [("cat", None, b"1"), ("dog", None, b"2")]


def test_several_archives_may_hold_the_same_folder_but_not_one_each(tmp_path: Path) -> None:
    for name, label in (("train", "cat"), ("val", "dog")):
        write_zip(tmp_path / "same" / f"{name}.zip", {f"photos/{label}/1.png": b"1"})
        write_zip(tmp_path / "own" / f"{label}.zip", {f"{label}/1.png": b"1"})
    assert annotated(tmp_path / "same") == [("cat", "train", b"1"), ("dog", "val", b"1")]
    assert annotated(tmp_path / "own") == [("cat", None, b"1"), ("dog", None, b"1")]


@pytest.mark.parametrize("writer", [write_tar, write_zip])
def test_archives_with_a_folder_each_and_several_below_are_refused(tmp_path: Path, writer: Any) -> None:
    ending = "tar" if writer is write_tar else "zip"
    for part in ("part1", "part2"):
        writer(tmp_path / "unclear" / f"{part}.{ending}", {f"{part}/{name}/1.png": b"1" for name in ("cat", "dog")})
        writer(tmp_path / "one" / f"{part}.{ending}", {f"{part}/images/1.png": part.encode()})
    with pytest.raises(
        UserError, match=r"holds one folder \(part1, part2\) with folders such as cat and dog below, so it is not"
    ):
        annotated(tmp_path / "unclear")
    assert annotated(tmp_path / "one") == [("part1", None, b"part1"), ("part2", None, b"part2")]


def test_folders_of_archives_that_name_a_split_are_splits(tmp_path: Path) -> None:
    for name, split in (("a", "train"), ("b", "test")):
        files = {f"photos_{split}/{label}/1.png": f"{split}{label}".encode() for label in ("cat", "dog")}
        write_zip(tmp_path / f"{name}.zip", files)
    assert annotated(tmp_path) == [
        ("cat", "train", b"traincat"), ("dog", "train", b"traindog"), ("cat", "test", b"testcat"), ("dog", "test", b"testdog")
    ]  # fmt: skip


def test_images_beside_the_class_folders_of_a_split_are_left_out(tmp_path: Path) -> None:
    source = write_folder(tmp_path, {"train/cat/1.png": b"1", "train/stray.png": b"-", "test/cat/2.png": b"2"})
    assert annotated(source) == [("cat", "test", b"2"), ("cat", "train", b"1")]


def test_backslashes_in_a_zip_file_part_folders(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"cat\\1.png": b"1", "dog\\2.png": b"2"})
    assert annotated(path) == [("cat", None, b"1"), ("dog", None, b"2")]
    with pytest.raises(UserError, match=r"names '\.\./1\.png', which lies outside"):
        annotated(write_zip(tmp_path / "b.zip", {"..\\1.png": b"1"}))
