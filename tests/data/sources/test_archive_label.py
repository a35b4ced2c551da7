"""Archives that hold one class each and are named after it."""

from pathlib import Path
from typing import Any

import pytest

from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, write_archives


@pytest.mark.parametrize("setting", ["auto", "folders"])
def test_imagenets_layout_of_one_tar_for_each_class(tmp_path: Path, setting: str) -> None:
    source = write_archives(
        tmp_path,
        {
            "train/n01440764.tar": {"n01440764_18.JPEG": b"1", "./n01440764_36.JPEG": b"2", "README": b"-"},
            "train/n01443537.tar": {"n01443537_2.JPEG": b"3"},
            "val/n01440764.tar": {"1.jpeg": b"4", ".hidden.jpeg": b"-"},
        },
    )
    assert annotated(source, setting) == [
        ("n01440764", "train", b"1"),
        ("n01440764", "train", b"2"),
        ("n01443537", "train", b"3"),
        ("n01440764", "val", b"4"),
    ]


def test_captions_are_no_labels_and_an_ending_is_no_part_of_a_name(tmp_path: Path) -> None:
    files = {"cat.tar": {"1.jpg": b"2"}, "st. bernard.tar.gz": {"1.jpg": b"1", "1.txt": b"a dog"}}
    assert annotated(write_archives(tmp_path, files)) == [("cat", None, b"2"), ("st. bernard", None, b"1")]


def test_zip_files_of_one_class_each(tmp_path: Path) -> None:
    source = write_archives(tmp_path, {"cat.zip": {"1.png": b"1"}, "dog.zip": {"1.png": b"2"}})
    assert annotated(source) == [("cat", None, b"1"), ("dog", None, b"2")]


def test_labels_inside_go_before_names(tmp_path: Path) -> None:
    source = write_archives(
        tmp_path,
        {
            "a.tar": {"cat/1.png": b"1", "cover.png": b"-"},
            "b.tar": {"2.cls": b"dog", "2.png": b"2", "3.png": b"-"},
        },
    )
    assert annotated(source) == [("cat", None, b"1"), ("dog", None, b"2")]
    (tmp_path / "table.csv").write_text("file,label\n2.png,bee\n")
    assert annotated(source, str(tmp_path / "table.csv")) == [("bee", None, b"2")]


def test_a_single_archive_has_no_name_of_a_class(tmp_path: Path) -> None:
    assert annotated(write_archives(tmp_path, {"train/cat.tar": {"1.png": b"1"}})) == []


@pytest.mark.parametrize("name", ["train-images.tar", "00000.tar", "images-0001.tar", "batch2.tar", "test.tar.gz"])
def test_the_name_of_a_split_or_a_part_is_no_label(tmp_path: Path, name: str) -> None:
    source = write_archives(tmp_path, {"cat.tar": {"1.png": b"1"}, name: {"1.png": b"1"}})
    with pytest.raises(UserError, match=rf"{name} holds images without a label, .* index\.labels"):
        annotated(source)


@pytest.mark.parametrize("labelled", [{"cat/2.png": b"2"}, {"2.cls": b"cat", "2.png": b"2"}])
def test_images_with_and_without_labels_in_one_archive_are_refused(tmp_path: Path, labelled: Any) -> None:
    source = write_archives(tmp_path, {"a.tar": {"1.png": b"1", **labelled}, "b.tar": {"1.png": b"1"}})
    with pytest.raises(UserError, match=r"a\.tar holds 1\.png, which has no label, and then .*2\..*, which has one"):
        annotated(source)
