"""Classes keep their numbers and identity over all files of a source."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok.data.sources.class_names import join, told_apart
from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated

AB, BA, ABC = ("a", "b"), ("b", "a"), ("a", "b", "c")


@pytest.mark.parametrize(
    "names,apart",
    [
        (("a", "b"), ("a", "b")),
        (("crane", "drake", "crane"), ("crane (0)", "drake", "crane (2)")),
        (("crane", "crane", "crane (0)"), ("crane (0) (0)", "crane (1)", "crane (0) (2)")),
        (("", "b", " "), ("0", "b", "2")),
    ],
)
def test_names_are_told_apart(names: tuple[str, ...], apart: tuple[str, ...]) -> None:
    assert told_apart(names) == apart
    assert len(set(apart)) == len(names)


def test_lists_are_joined_by_name_where_that_is_certain() -> None:
    assert join({"x": (), "y": ()}) is None
    for lists, names in (
        ({"x": AB, "y": ABC}, ABC),
        ({"x": AB, "y": BA}, AB),
        ({"x": BA, "y": ABC}, ABC),
        ({"x": AB, "y": ("c", "d", "a")}, ("c", "d", "a", "b")),
    ):
        classes = join(lists)
        assert classes and classes.names == names
        for file, listed in lists.items():
            assert tuple(classes.by_number(file, number) for number in range(len(listed))) == listed
            assert classes.by_number(file, len(listed)) is None
    with pytest.raises(UserError, match=r"x and y name different classes, and 'b' stands for two of them"):
        join({"x": ("a", "b", "b"), "y": ("b", "a")})


def write(path: Path, labels: list[Any], names: tuple[str, ...] = (), column: str = "label") -> None:
    metadata = {"info": {"features": {column: {"_type": "ClassLabel", "names": list(names)}}}}
    table = pa.table({"image": [f"{path.stem}{row}".encode() for row in range(len(labels))], column: labels})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(metadata)} if names else None), path)


def labels_in(folder: Path) -> list[str]:
    return [label for label, *_ in annotated(folder)]


def test_a_file_that_lost_its_names_goes_with_those_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [1, 0])
    write(tmp_path / "1.parquet", [0, 1], ABC)
    write(tmp_path / "2.parquet", ["c", "1"])
    write(tmp_path / "3.parquet", [2.0])
    assert labels_in(tmp_path) == ["b", "a", "a", "b", "c", "b", "c"]
    assert open_source(str(tmp_path)).classes(Labels("auto")) == ABC


def test_another_order_is_joined_by_name_but_bare_numbers_then_mean_nothing(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [0, 1], AB)
    write(tmp_path / "1.parquet", [0, 1], BA)
    assert labels_in(tmp_path) == ["a", "b", "b", "a"]
    write(tmp_path / "2.parquet", [0])
    with pytest.raises(
        UserError, match=r"row 0 of 2\.parquet has label 0 and 2\.parquet names no classes, but 0\.parquet names"
    ):
        labels_in(tmp_path)


def test_text_that_names_no_class_beside_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [0, 1], AB)
    write(tmp_path / "1.parquet", ["zebra"])
    with pytest.raises(
        UserError, match=r"row 0 of 1\.parquet has label zebra and 1\.parquet names no classes, but 0\.parquet"
    ):
        labels_in(tmp_path)


def test_text_beside_numbers_without_names_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [0, 1])
    write(tmp_path / "1.parquet", ["1", "0"])
    assert labels_in(tmp_path) == ["0", "1", "1", "0"]
    write(tmp_path / "2.parquet", ["cat"])
    with pytest.raises(
        UserError, match=r"row 0 of 2\.parquet has the label 'cat', but 0\.parquet has numbers and no names"
    ):
        labels_in(tmp_path)


def test_two_classes_of_one_name_stay_two(tmp_path: Path) -> None:
    write(tmp_path / "0.parquet", [0, 1, 2], ("crane", "drake", "crane"))
    assert labels_in(tmp_path) == ["crane (0)", "drake", "crane (2)"]
    write(tmp_path / "0.parquet", ["drake", "crane"], ("crane", "drake", "crane"))
    with pytest.raises(UserError, match=r"row 1 of 0\.parquet has label crane, which names 2 classes; give its number"):
        labels_in(tmp_path)
