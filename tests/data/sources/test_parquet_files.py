import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from rectok.errors import UserError
from tests.data.sources.small_sources import AUTO, read_images

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["tench", "ant", "bee"]


def write(
    path: Path, labels: list[Any], names: list[str] | None = NAMES, column: str = "label", group: int = 2
) -> None:
    """Rows whose image is `<file>:<row>`, in row groups of `group`."""
    images = [{"bytes": f"{path.stem}:{row}".encode(), "path": None} for row in range(len(labels))]
    kind = pa.string() if labels and isinstance(labels[0], str) else pa.int64()
    schema = pa.schema([("image", IMAGE), (column, kind)])
    if names:
        features = {column: {"_type": "ClassLabel", "names": names}, "image": {"_type": "Image"}}
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, column: labels}, schema=schema), path, row_group_size=group)


def test_a_folder_of_files_gives_splits_and_named_labels(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00001.parquet", [0, 1, 2, 1, 0])
    write(tmp_path / "data" / "validation-00000-of-00001.parquet", [2])
    source = open_source(str(tmp_path))
    images = list(source.images(AUTO))
    assert source.classes(AUTO) == tuple(NAMES)
    assert [image.label for image in images] == ["tench", "ant", "bee", "ant", "tench", "bee"]
    assert [image.split for image in images] == ["train"] * 5 + ["val"]
    assert images[3].uri == "data/train-00000-of-00001.parquet#3"
    assert images[3].read() == b"train-00000-of-00001:3"


def test_files_of_the_hubs_converted_layout_lie_deeper(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write(tmp_path / "default" / split / "0000.parquet", [0, 1])
    (tmp_path / "dataset_infos.json").write_text("{}")
    source = open_source(str(tmp_path))
    images = list(source.images(AUTO))
    assert [(image.label, image.split) for image in images] == [
        ("tench", "train"), ("ant", "train"), ("tench", "val"), ("ant", "val"),
    ]  # fmt: skip
    [(uri, read)] = source.read([images[2].uri])
    assert (uri, read()) == ("default/validation/0000.parquet#0", b"0000:0")


def test_rows_are_read_again_by_row_group(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [0] * 9)
    source = open_source(str(tmp_path / "x.parquet"))
    rows = [(uri, read()) for uri, read in source.read(["x.parquet#7", "x.parquet#0", "x.parquet#8", "x.parquet#3"])]
    assert rows == [(f"x.parquet#{row}", f"x:{row}".encode()) for row in (0, 3, 7, 8)]


def test_a_row_that_is_gone_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [0] * 3)
    with pytest.raises(UserError, match="row 3 is not in the parquet file any more"):
        list(open_source(str(tmp_path / "x.parquet")).read(["x.parquet#1", "x.parquet#3"]))


@pytest.mark.parametrize(
    "labels,names,column,expected",
    [
        ([3, 1], None, "label", ["3", "1"]),
        (["cat", "dog"], None, "label", ["cat", "dog"]),
        ([1, 2], NAMES, "fine_label", ["ant", "bee"]),
        ([1, 2], NAMES, "animal", ["ant", "bee"]),
    ],
)
def test_labels_may_be_numbers_words_or_named_classes(
    tmp_path: Path, labels: list[Any], names: list[str] | None, column: str, expected: list[str]
) -> None:
    write(tmp_path / "x.parquet", labels, names, column)
    assert [label for _, label, _, _ in read_images(tmp_path / "x.parquet")] == expected


def test_images_may_be_plain_bytes_a_path_or_absent(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"in a file")
    images = [{"bytes": None, "path": "1.png"}, {"bytes": b"here", "path": "1.png"}, None]
    schema = pa.schema([("image", IMAGE), ("label", pa.int64())])
    pq.write_table(pa.table({"image": images, "label": [0, 1, 2]}, schema=schema), tmp_path / "a.parquet")
    pq.write_table(pa.table({"img": [b"plain"], "label": [0]}), tmp_path / "b.parquet")

    def contents(name: str) -> list[bytes]:
        return [content for *_, content in read_images(tmp_path / name)]

    assert contents("a.parquet") == [b"in a file", b"here", b""]
    assert contents("b.parquet") == [b"plain"]


def paths(folder: Path, *names: str | None) -> str:
    """A source of one file whose images have those paths beside them, and no column of labels."""
    rows = [{"bytes": b"%d" % row, "path": name} for row, name in enumerate(names)]
    folder.mkdir()
    pq.write_table(pa.table({"image": rows}, schema=pa.schema([("image", IMAGE)])), folder / "train.parquet")
    return str(folder)


def test_a_table_knows_rows_by_the_path_of_their_image_else_by_their_number(tmp_path: Path) -> None:
    source = paths(tmp_path / "source", "1.jpg", None, "2.jpg")
    table = tmp_path / "labels.csv"
    table.write_text("file,label,split\n1.jpg,cat,test\ntrain.parquet#1,dog,\n")
    rows = [("train.parquet#0", "cat", "test", b"0"), ("train.parquet#1", "dog", "train", b"1")]
    assert read_images(source, str(table)) == rows
    assert open_source(source).classes(Labels(str(table))) == ()
    (tmp_path / "labels.json").write_text('{"2.jpg": "bee"}')
    assert read_images(source, str(tmp_path / "labels.json")) == [("train.parquet#2", "bee", "train", b"2")]
    (tmp_path / "labels.json").write_text('{"3.jpg": "bee"}')
    with pytest.raises(UserError, match=r"lists 3\.jpg, which index\.source does not hold"):
        read_images(source, str(tmp_path / "labels.json"))


def test_a_name_that_rows_share_has_no_label(tmp_path: Path) -> None:
    source = paths(tmp_path / "source", "1.jpg", "1.jpg")
    (tmp_path / "labels.json").write_text('{"1.jpg": "bee"}')
    with pytest.raises(UserError, match=r"gives 1\.jpg a label, but index\.source holds several of that name"):
        read_images(source, str(tmp_path / "labels.json"))


def test_a_table_is_heeded_where_a_column_has_labels_too(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [0, 1])
    table = tmp_path / "labels.json"
    table.write_text('{"x.parquet#1": "moth"}')
    assert read_images(tmp_path / "x.parquet", str(table)) == [("x.parquet#1", "moth", None, b"x:1")]
    assert open_source(str(tmp_path / "x.parquet")).classes(Labels(str(table))) == ()


def test_labels_may_be_folders_of_the_images_paths(tmp_path: Path) -> None:
    source = paths(tmp_path / "source", "cat/1.jpg", "test/dog/2.jpg", "outside.jpg")
    assert [row[:3] for row in read_images(source, "folders")] == [
        ("train.parquet#0", "cat", "train"),
        ("train.parquet#1", "dog", "test"),
    ]
    assert open_source(source).classes(Labels("folders")) == ()
    with pytest.raises(UserError, match=r"train\.parquet#0 has no path beside its image, so index\.labels folders"):
        read_images(paths(tmp_path / "bare", None), "folders")


@pytest.mark.parametrize(
    "label,problem",
    [
        (-1, r"row 1 of test\.parquet has no label; leave unlabelled files out"),
        (None, r"row 1 of test\.parquet has no label"),
        (3, "has label 3, but only 3 classes are named"),
    ],
)
def test_rows_without_a_class_are_refused(tmp_path: Path, label: int | None, problem: str) -> None:
    write(tmp_path / "test.parquet", [0, label])
    with pytest.raises(UserError, match=problem):
        read_images(tmp_path / "test.parquet")


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet must have a column of images .* it has text \(string\), label"):
        read_images(tmp_path / "x.parquet")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match=r"x\.parquet cannot be read as parquet"):
        read_images(tmp_path / "x.parquet")
