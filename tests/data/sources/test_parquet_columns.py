"""Which column is the image and which the label, however a file was written."""

import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from rectok.data.sources.parquet_columns import class_names, features_of
from rectok.errors import UserError
from tests.data.files import picture
from tests.data.sources.small_sources import annotated

PNG = picture(1)
IMAGE, LABEL = {"_type": "Image"}, {"_type": "ClassLabel", "names": ["cat", "dog"]}
BARE = pa.schema([])


def write(path: Path, columns: dict[str, Any], features: object = None, metadata: bytes | None = None) -> Path:
    described = json.dumps({"info": {"features": features}}).encode() if metadata is None else metadata
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata({b"huggingface": described} if features or metadata else None), path)
    return path


def contents(path: Path, image: str = "") -> list[bytes]:
    """The images, read by the index and again by uri."""
    source = open_source(str(path), image)
    images = [(each.uri, each.read()) for each in source.images(Labels("auto"))]
    assert [(uri, read()) for uri, read in source.read([uri for uri, _ in images])] == images
    return [content for _, content in images]


@pytest.mark.parametrize(
    "columns,features",
    [
        ({"conditioning_image": [b"-"], "image": [PNG]}, {"image": IMAGE}),
        ({"image": [b"-"], "photo": [PNG]}, {"photo": IMAGE}),
        ({"md5": [b"\x12" * 16], "webp": [PNG]}, None),
        ({"md5": [b"\x12" * 16], "photo": [PNG]}, None),
        ({"thumb": pa.array([None], pa.binary()), "photo": [PNG]}, None),
        ({"image": ["a path"], "content": [PNG]}, {"image": IMAGE}),
    ],
)
def test_the_image_is_declared_or_has_a_usual_name_or_is_the_only_one(
    tmp_path: Path, columns: Any, features: Any
) -> None:
    path = write(tmp_path / "x.parquet", {**columns, "label": [0]}, features)
    assert contents(path) == [PNG]


@pytest.mark.parametrize("others", [{}, {"md5": [b"\x12" * 16]}])
def test_bytes_that_are_no_image_are_no_column_of_images(tmp_path: Path, others: Any) -> None:
    path = write(tmp_path / "x.parquet", {"sound": [b"RIFF----WAVE"], **others, "label": [0]})
    with pytest.raises(UserError, match=r"x\.parquet must have a column of images \(bytes\); it has sound \(binary\)"):
        contents(path)


@pytest.mark.parametrize(
    "names,features",
    [(("image", "mask"), {"image": IMAGE, "mask": IMAGE}), (("image", "png"), None), (("left", "right"), None)],
)
def test_two_candidates_are_named_and_one_is_chosen(tmp_path: Path, names: tuple[str, str], features: Any) -> None:
    one, other = names
    path = write(tmp_path / "x.parquet", {one: [PNG], other: [picture(2)], "label": [0]}, features)
    with pytest.raises(UserError, match=rf"x\.parquet has several columns of images, {one}, {other}; .* index\.image"):
        contents(path)
    assert (contents(path, one), contents(path, other)) == ([PNG], [picture(2)])
    with pytest.raises(UserError, match=r"x\.parquet has no column 'label' of images \(bytes\), as index\.image asks"):
        contents(path, "label")


def structs(kind: pa.DataType) -> pa.DataType:
    return pa.struct([("bytes", kind), ("path", pa.string())])


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(len(PNG)), pa.list_(pa.uint8()), pa.large_list(pa.uint8()),
     pa.list_(pa.uint8(), len(PNG))],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("in_struct", [False, True])
def test_bytes_of_every_type(tmp_path: Path, kind: pa.DataType, in_struct: bool) -> None:
    value: Any = list(PNG) if "list" in str(kind) else PNG
    images = pa.array([{"bytes": value, "path": None}], structs(kind)) if in_struct else pa.array([value], kind)
    try:
        path = write(tmp_path / "x.parquet", {"image": images, "label": [0]})
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"pyarrow cannot write it: {error}")
    assert contents(path) == [PNG]


@pytest.mark.parametrize(
    "metadata",
    [b'{"info": null}', b"null", b"[1]", b"{", b"\xff", b'{"info": {"features": null}}', b'{"info": {"features": [1]}}',
     b'{"info": {"features": {"image": 3, "label": null}}}',
     b'{"info": {"features": {"label": {"names": 3, "_type": "ClassLabel"}}}}',
     b'{"info": 5}', b"[" * 100_000],
)  # fmt: skip
def test_descriptions_of_any_content_stop_nothing(tmp_path: Path, metadata: bytes) -> None:
    path = write(tmp_path / "x.parquet", {"image": [PNG], "label": [4]}, metadata=metadata)
    assert [label for label, *_ in annotated(path)] == ["4"]


@pytest.mark.parametrize(
    "names,expected",
    [(["a", "b"], ("a", "b")), ({"1": "b", "0": "a"}, ("a", "b")), ({"x": "b"}, ()), (None, ()), ([1, 2], ("1", "2"))],
)
def test_class_names_of_any_version(names: object, expected: tuple[str, ...]) -> None:
    described = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names, "num_classes": 2, "id": None}}}}
    schema = BARE.with_metadata({"huggingface": json.dumps(described)})
    assert class_names(features_of(schema), "label") == expected


@pytest.mark.parametrize(
    "values,named,expected",
    [
        (pa.array([1, 0], pa.uint8()), True, ["dog", "cat"]),
        ([1.0, 0.0], True, ["dog", "cat"]),
        (["1", "0"], True, ["dog", "cat"]),
        (["dog", "cat"], True, ["dog", "cat"]),
        (pa.array(["dog", "cat"]).dictionary_encode(), True, ["dog", "cat"]),
        (pa.array(["dog", "cat"], pa.large_string()), False, ["dog", "cat"]),
        ([3.0, 12.0], False, ["3", "12"]),
        ([decimal.Decimal("3.00"), decimal.Decimal("12")], False, ["3", "12"]),
        (["07", "x"], False, ["07", "x"]),
    ],
)
def test_labels_are_numbers_or_text(tmp_path: Path, values: Any, named: bool, expected: list[str]) -> None:
    path = write(tmp_path / "x.parquet", {"image": [PNG, PNG], "label": values}, {"label": LABEL} if named else None)
    assert [label for label, *_ in annotated(path)] == expected


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        [0, None],
        [0, -1],
        [0.0, float("nan")],
        [0.0, -1.0],
        ["0", ""],
        ["0", " "],
        ["0", "nan"],
        ["0", "-1"],
        ["0", None],
    ],
)
def test_rows_without_a_label_are_refused(tmp_path: Path, values: Any, named: bool) -> None:
    path = write(tmp_path / "x.parquet", {"image": [PNG, PNG], "label": values}, {"label": LABEL} if named else None)
    with pytest.raises(UserError, match=r"^row 1 of x\.parquet has no label; .* set index\.labels to none"):
        annotated(path)


@pytest.mark.parametrize(
    "values",
    [[[0], [0, 1]], [0.0, 0.5], [0, -2], [False, True], [{"a": 1}, {"a": 2}], [b"0", b"1"], [0.0, float("inf")]],
)
def test_labels_of_another_kind_are_refused(tmp_path: Path, values: Any) -> None:
    path = write(tmp_path / "x.parquet", {"image": [PNG, PNG], "label": values})
    with pytest.raises(UserError, match=r"row [01] of x\.parquet has the label .*; it must be text or a whole number"):
        annotated(path)


@pytest.mark.parametrize("value", [2, 2.0, "2", "bee"])
def test_labels_outside_of_the_named_classes_are_refused(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path / "x.parquet", {"image": [PNG], "label": [value]}, {"label": LABEL})
    with pytest.raises(UserError, match=r"row 0 of x\.parquet has label (2|bee), but only 2 classes are named"):
        annotated(path)


def test_several_columns_of_labels_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": [PNG], "breed": [0], "mood": [1]}, {"breed": LABEL, "mood": LABEL})
    with pytest.raises(
        UserError, match=r"several columns of labels, breed, mood; name one as in index\.labels: column:breed"
    ):
        annotated(path)
    assert [label for label, *_ in annotated(path, "column:mood")] == ["dog"]


def test_unlabelled_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "train-0.parquet", {"image": [PNG, picture(2)], "caption": ["a", "b"]})
    with pytest.raises(UserError, match=r"a column `label`; it has image \(binary\).* set index\.labels to none"):
        annotated(path)
    assert [(label, split) for label, split, _ in annotated(path, "none")] == [("unlabelled", "train")] * 2
