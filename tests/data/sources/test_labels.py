"""Labels from folders, a column, a CSV or a JSON map, for every kind of source, local and in a bucket."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok.data.sources.labels import Labels, open_labels
from rectok.data.sources.opening import open_source
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, write_folder, write_tar, write_zip
from tests.storage.server import BUCKET

FILES = {"a/1.png": b"1", "a/2.png": b"22", "train/b/3.png": b"333", "notes.txt": b"-", "a/.hidden.png": b"-"}
TABLE = "file,label,split\na/1.png,cat,train\n./train/b/3.png,7,validation\n"


WRITERS = {"folder": write_folder, "tar": write_tar, "tar.gz": write_tar, "zip": write_zip}


@pytest.fixture(params=[*WRITERS, "s3 folder", "s3 tar", "s3 tar.gz", "s3 zip"])
def pets(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """FILES as a source of every kind."""
    kind = request.param.removeprefix("s3 ")
    path = WRITERS[kind](tmp_path / f"pets.{kind}", FILES)
    if kind == request.param:
        return str(path)
    client = request.getfixturevalue("bucket")
    for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        client.upload_file(str(file), BUCKET, f"labels/{file.relative_to(tmp_path)}")
    return f"s3://{BUCKET}/labels/{path.name}"


def test_folders_name_labels_for_every_kind_of_source(pets: str) -> None:
    expected = [("a", None, b"1"), ("a", None, b"22"), ("b", "train", b"333")]
    assert annotated(pets, "folders") == annotated(pets, "auto") == expected


def test_a_table_names_labels_and_splits_for_every_kind_of_source(pets: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8-sig")
    assert annotated(pets, str(tmp_path / "table.csv")) == [("cat", "train", b"1"), ("7", "val", b"333")]
    (tmp_path / "table.json").write_text(json.dumps({"a/2.png": 3, "a/1.png": "cat"}))
    assert annotated(pets, str(tmp_path / "table.json")) == [("cat", None, b"1"), ("3", None, b"22")]


def test_what_a_table_leaves_out_is_counted_and_what_it_adds_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "pets", FILES)
    (tmp_path / "table.csv").write_text(f"{TABLE}gone.png,cat,\nlost.png,cat,\n")
    with open_labels(str(tmp_path / "table.csv")) as labels:
        assert len(list(open_source(str(source)).images(labels))) == 2
        assert labels.unlisted == 2
        with pytest.raises(UserError, match=r"table\.csv lists gone\.png, .* does not hold \(2 such files\)"):
            labels.check_complete()


def test_a_table_may_lie_in_a_bucket(bucket: Any, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "pets", FILES)
    bucket.put_object(Bucket=BUCKET, Key="tables/a.csv", Body=TABLE.encode())
    assert [label for label, *_ in annotated(source, f"s3://{BUCKET}/tables/a.csv")] == ["cat", "7"]


@pytest.mark.parametrize(
    "name,text,problem",
    [
        ("t.csv", "name,label\nx,1\n", r"t\.csv must begin with a line that names its columns: file, label"),
        ("t.csv", "", "must begin with a line"),
        ("t.csv", "file,label\nx,\n", r"line 2 of .*t\.csv has the label ''"),
        ("t.csv", "file,label\nx\n", "line 2 of .* has the label None"),
        ("t.csv", "file,label\n,1\n", "line 2 of .* names no file"),
        ("t.csv", "file,label,split\nx,1,later\n", "has the split 'later'; it must be train, val or test"),
        ("t.csv", "file,label\nx,1\nx,2\n", "names x twice, as 1 and as 2"),
        ("t.csv", b"file,label\nx,\xff\n", "cannot be read as CSV in UTF-8"),
        ("t.json", "{", r"t\.json cannot be read as JSON"),
        ("t.json", "[1]", "must hold an object of labels by file"),
        ("t.json", '{"x": 1.5}', r"x in .*t\.json has the label 1\.5; it must be text or a whole number"),
        ("t.csv", None, r"t\.csv cannot be read: No such file"),
    ],
)
def test_a_table_of_no_use_is_named(tmp_path: Path, name: str, text: str | bytes | None, problem: str) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=problem), open_labels(str(tmp_path / name)):
        pytest.fail("it was read")


@pytest.mark.parametrize("writer", [write_tar, write_zip])
def test_samples_may_have_their_label_in_json(tmp_path: Path, writer: Any) -> None:
    members = {
        "1.jpg": b"a", "1.json": b'{"label": "cat", "breed": 4}',
        "2.json": b'{"label": 5, "breed": "x"}', "2.jpg": b"b",
    }  # fmt: skip
    path = writer(tmp_path / f"train.{'tar' if writer is write_tar else 'zip'}", members)
    assert annotated(path) == [("cat", "train", b"a"), ("5", "train", b"b")]
    assert annotated(path, "column:breed") == [("4", "train", b"a"), ("x", "train", b"b")]
    with pytest.raises(UserError, match=r"sample 1 in train\..* has no .json beside it with a key 'size'"):
        annotated(path, "column:size")


def test_a_column_of_parquet_files_in_a_bucket(bucket: Any, tmp_path: Path) -> None:
    table = pa.table({"img": [b"x", b"y", b"z"], "label": [0, 1, 0], "breed": ["p", "q", "p"]})
    pq.write_table(table, tmp_path / "train-0.parquet", row_group_size=1)
    bucket.upload_file(str(tmp_path / "train-0.parquet"), BUCKET, "hf/data/train-0.parquet")
    for source in (str(tmp_path), f"s3://{BUCKET}/hf", f"s3://{BUCKET}/hf/data/train-0.parquet"):
        assert annotated(source, "column:breed") == [("p", "train", b"x"), ("q", "train", b"y"), ("p", "train", b"z")]
        assert [label for label, *_ in annotated(source, "auto")] == ["0", "1", "0"]
    with pytest.raises(UserError, match=r"a column `size`; it has img \(binary\)"):
        annotated(tmp_path, "column:size")


def test_labels_that_do_not_fit_the_source_are_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets", FILES)
    pq.write_table(pa.table({"img": [b"x"], "label": [0]}), tmp_path / "x.parquet")
    for source, setting, message in (
        ("sklearn:digits", "folders", "does not fit sklearn:digits"),
        (str(tmp_path / "pets"), "column:x", "needs a table, but index.source .* holds single files"),
        (str(tmp_path / "x.parquet"), "folders", r"x\.parquet#0 has no path beside its image"),
    ):
        with pytest.raises(UserError, match=message):
            list(open_source(source).images(Labels(setting)))


def test_archives_of_a_bucket_are_streamed(bucket: Any, tmp_path: Path) -> None:
    members = {f"{n % 2}/{n}.png": bytes([n]) * 2000 for n in range(200)}
    bucket.upload_file(str(write_tar(tmp_path / "x.tar", members)), BUCKET, "many/train-0.tar")
    bucket.upload_file(str(tmp_path / "x.tar"), BUCKET, "many/test-0.tar")
    contents = annotated(f"s3://{BUCKET}/many", "folders")
    assert [(split, content) for _, split, content in contents] == [
        (split, content) for split in ("test", "train") for content in members.values()
    ]


@pytest.mark.parametrize("cut", ["in the middle", "between members"])
def test_a_tar_that_is_not_whole_is_refused(tmp_path: Path, cut: str) -> None:
    path = write_tar(tmp_path / "x.tar", {f"a/{n}.png": bytes(600) for n in range(4)})
    path.write_bytes(path.read_bytes()[: 2 * 1536 + (700 if cut == "in the middle" else 0)])
    with pytest.raises(UserError, match=r"x\.tar (ends|cannot be read as a tar file)"):
        annotated(path)


@pytest.mark.parametrize("damage", ["cut", "bytes"])
def test_a_zip_that_is_not_whole_is_refused(tmp_path: Path, damage: str) -> None:
    path = write_zip(tmp_path / "x.zip", {"a/1.png": bytes(range(256)) * 9})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        start = file.infolist()[1].header_offset + 60
    path.write_bytes(content[:-30] if damage == "cut" else content[:start] + bytes(20) + content[start + 20 :])
    with pytest.raises(UserError, match=r"x\.zip cannot be read as a zip file"):
        annotated(path)
