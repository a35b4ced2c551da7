"""Hugging Face's imagefolder: metadata.csv and metadata.jsonl beside the images, local and in a bucket."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, write_folder, write_tar, write_zip
from tests.storage.server import BUCKET

IMAGES = {"1.png": b"1", "2.png": b"2"}
PETS = [("cat", None, b"1"), ("dog", None, b"2")]


def folder(root: Path, metadata: str, name: str = "metadata.csv", **files: bytes) -> str:
    return str(write_folder(root, {**IMAGES, **files, name: metadata.encode()}))


def test_a_table_beside_the_images(tmp_path: Path) -> None:
    assert annotated(folder(tmp_path / "a", "file_name,label\n1.png,cat\n./2.png,dog\n")) == PETS
    lines = "".join(
        json.dumps({"file_name": name, "label": label}) + "\n\n" for name, label in (("1.png", 3), ("2.png", 4.0))
    )
    assert annotated(folder(tmp_path / "b", lines, "metadata.jsonl")) == [("3", None, b"1"), ("4", None, b"2")]
    text = "file_name,text,breed,split\n1.png,a cat,p,train\n2.png,a dog,q,validation\n"
    assert annotated(folder(tmp_path / "c", text), "column:breed") == [("p", "train", b"1"), ("q", "val", b"2")]


def test_a_table_for_each_split_or_one_for_all(tmp_path: Path) -> None:
    source = write_folder(
        tmp_path / "each",
        {
            "data/train/1.png": b"1", "data/train/metadata.csv": b"file_name,label\n1.png,cat\n",
            "data/test/2.png": b"2", "data/test/metadata.csv": b"file_name,label\n2.png,dog\n",
        },
    )  # fmt: skip
    assert annotated(source) == [("dog", "test", b"2"), ("cat", "train", b"1")]
    table = b"file_name,label,split\nimages/1.png,cat,train\nimages/2.png,dog,test\n"
    one = write_folder(tmp_path / "one", {"images/1.png": b"1", "images/2.png": b"2", "metadata.csv": table})
    assert annotated(one) == [("cat", "train", b"1"), ("dog", "test", b"2")]


def test_a_table_in_a_bucket(bucket: Any) -> None:
    for name, content in {**IMAGES, "metadata.csv": b"file_name,label\n1.png,cat\n2.png,dog\n"}.items():
        bucket.put_object(Bucket=BUCKET, Key=f"imagefolder/{name}", Body=content)
    assert annotated(f"s3://{BUCKET}/imagefolder") == PETS


def test_captions_alone_label_nothing(tmp_path: Path) -> None:
    files = {
        "cat/1.png": b"1",
        "dog/2.png": b"2",
        "metadata.csv": b"file_name,text\ncat/1.png,a cat\ndog/2.png,a dog\n",
    }
    source = write_folder(tmp_path, files)
    assert annotated(source) == PETS
    with pytest.raises(
        UserError, match=r"metadata\.csv must have the columns file_name and breed; it has file_name, text"
    ):
        annotated(source, "column:breed")


@pytest.mark.parametrize(
    "text,problem",
    [
        ("file_name,label\n1.png,cat\n3.png,dog\n", r"lists 3\.png, which index\.source does not hold"),
        (
            "file_name,label\n1.png,cat\n1.png,cat\n",
            r"names 1\.png twice, as cat and as cat \(line 3 of .*metadata\.csv\)",
        ),
        (
            "file_name,label\n1.png,cat\n../2.png,dog\n",
            r"line 3 of .*metadata\.csv names '\.\./2\.png', which lies outside",
        ),
        ("file_name,label\n1.png,\n", r"line 2 of .*metadata\.csv has the label ''"),
        ("file_name,label\n1.png,nan\n", r"line 2 of .*metadata\.csv has the label 'nan'"),
        ("file_name,label,label\n1.png,a,b\n", "has several columns of one name"),
        ("file_name,label\n1.png,a,b\n", "line 2 of .* has more values than there are columns"),
    ],
)
def test_a_table_of_no_use_is_named_with_its_row(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        annotated(folder(tmp_path, text))


@pytest.mark.parametrize(
    "line,problem",
    [
        ("{", r"line 1 of .*metadata\.jsonl cannot be read as JSON"),
        ("[1]", "line 1 of .* must hold an object"),
        ('{"file_name": "1.png", "label": [0, 1]}', r"line 1 of .* has the label \[0, 1\]"),
        ('{"file_name": "1.png", "label": NaN}', "line 1 of .* has the label nan"),
        ('{"file_name": 1, "label": 2}', "line 1 of .* names no file"),
    ],
)
def test_json_lines_of_no_use_are_named(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        annotated(folder(tmp_path, line, "metadata.jsonl"))


def test_all_tables_must_have_the_column(tmp_path: Path) -> None:
    source = write_folder(
        tmp_path,
        {"a/metadata.csv": b"file_name,label\n1.png,cat\n", "b/metadata.csv": b"file_name\n1.png\n", "a/1.png": b"1"},
    )
    with pytest.raises(UserError, match=r"b/metadata\.csv must have the columns file_name and label; it has file_name"):
        annotated(source)


def test_a_folder_that_img2dataset_wrote_has_parts_and_no_classes(tmp_path: Path) -> None:
    files = {
        "00000.parquet": b"-", "00000_stats.json": b"{}", "00000/000000000.jpg": b"1", "00000/000000000.txt": b"a street",
        "00000/000000000.json": b"{}",
    }  # fmt: skip
    source = write_folder(tmp_path, files)
    with pytest.raises(
        UserError, match=r"was written by img2dataset \(00000_stats\.json\), .* set index\.labels to none"
    ):
        annotated(source)
    assert ("unlabelled", None, b"1") in annotated(source, "none")


@pytest.mark.parametrize("place", ["", "photos/"])
def test_a_table_in_a_zip_file(tmp_path: Path, place: str) -> None:
    table = b"file_name,label,breed\n1.png,cat,p\n2.png,dog,q\n"
    files = {f"{place}{name}": content for name, content in {**IMAGES, "metadata.csv": table, "3.png": b"3"}.items()}
    path = write_zip(tmp_path / "train.zip", files)
    assert annotated(path) == [("cat", "train", b"1"), ("dog", "train", b"2")]
    assert annotated(path, "column:breed") == [("p", "train", b"1"), ("q", "train", b"2")]


def test_tables_in_several_zip_files(tmp_path: Path) -> None:
    for split, label in (("train", "cat"), ("test", "dog")):
        table = json.dumps({"file_name": "images/1.png", "label": label}).encode()
        write_zip(tmp_path / f"{split}.zip", {"images/1.png": label.encode(), "metadata.jsonl": table})
    assert annotated(tmp_path) == [("dog", "test", b"dog"), ("cat", "train", b"cat")]


def test_a_table_in_a_zip_file_without_labels_is_only_a_file(tmp_path: Path) -> None:
    files = {"cat/1.png": b"1", "dog/2.png": b"2", "metadata.csv": b"file_name,text\n1.png,a cat\n"}
    assert annotated(write_zip(tmp_path / "a.zip", files)) == PETS
    assert annotated(write_tar(tmp_path / "a.tar", files)) == PETS


def test_a_table_with_labels_in_a_tar_file_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {**IMAGES, "metadata.csv": b"file_name,label\n1.png,cat\n2.png,dog\n"})
    with pytest.raises(
        UserError, match=r"a\.tar holds the table metadata\.csv, which .*; unpack the archive, or pack it as a zip"
    ):
        annotated(path)


def test_an_incomplete_zip_file_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.png": b"1", "metadata.csv": b"file_name,label\n1.png,cat\n2.png,dog\n"})
    with pytest.raises(UserError, match=r"lists 2\.png, which index\.source does not hold"):
        annotated(path)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_values_may_be_parted_by_semicolons_or_tabs(tmp_path: Path, mark: str) -> None:
    text = 'file_name,text,label\r\n1.png,"a, b; c\td",cat\r\n2.png,,dog\r\n'
    parted = text.replace(",", mark).replace(f'"a{mark} b', '"a, b')
    assert annotated(folder(tmp_path / "a", parted)) == PETS
    (tmp_path / "labels.csv").write_text(parted)
    assert annotated(tmp_path / "a", str(tmp_path / "labels.csv"))[:2] == PETS
    with pytest.raises(
        UserError, match=rf"line 2 of .* has more values than .* put values with {re.escape(repr(mark))} into quotes"
    ):
        annotated(folder(tmp_path / "b", f"file_name{mark}label\n1.png{mark}a{mark}b\n"))


def test_blanks_around_a_label_are_no_part_of_it(tmp_path: Path) -> None:
    assert annotated(folder(tmp_path, "file_name,label\n1.png, cat\n2.png,dog \n")) == PETS
