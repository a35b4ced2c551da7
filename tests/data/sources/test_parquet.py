import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from rectok.errors import UserError

AUTO = Labels("auto")

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
    items = list(source.items(AUTO))
    assert source.classes(AUTO) == tuple(NAMES)
    assert [item.label for item in items] == ["tench", "ant", "bee", "ant", "tench", "bee"]
    assert [item.split for item in items] == ["train"] * 5 + ["val"]
    assert items[3].uri == "data/train-00000-of-00001.parquet#3"
    assert items[3].read() == b"train-00000-of-00001:3"


def test_rows_are_read_again_by_row_group(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [0] * 9)
    source = open_source(str(tmp_path / "x.parquet"))
    found = [(uri, read()) for uri, read in source.read(["x.parquet#7", "x.parquet#0", "x.parquet#8", "x.parquet#3"])]
    assert found == [(f"x.parquet#{row}", f"x:{row}".encode()) for row in (0, 3, 7, 8)]


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
    assert [item.label for item in open_source(str(tmp_path / "x.parquet")).items(AUTO)] == expected


def test_images_may_be_plain_bytes_a_path_or_absent(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"in a file")
    images = [{"bytes": None, "path": "1.png"}, {"bytes": b"here", "path": "1.png"}, None]
    schema = pa.schema([("image", IMAGE), ("label", pa.int64())])
    pq.write_table(pa.table({"image": images, "label": [0, 1, 2]}, schema=schema), tmp_path / "a.parquet")
    pq.write_table(pa.table({"img": [b"plain"], "label": [0]}), tmp_path / "b.parquet")
    contents = [item.read() for item in open_source(str(tmp_path)).items(AUTO)]
    assert contents == [b"in a file", b"here", b"", b"plain"]


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
        list(open_source(str(tmp_path / "test.parquet")).items(AUTO))


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet must have a column of images .* it has text \(string\), label"):
        list(open_source(str(tmp_path / "x.parquet")).items(AUTO))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match=r"x\.parquet cannot be read as parquet"):
        list(open_source(str(tmp_path / "x.parquet")).items(AUTO))
