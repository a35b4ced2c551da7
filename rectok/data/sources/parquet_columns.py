"""Which columns of a parquet file hold images and labels, and what its values mean."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rectok.data.sources.content import is_image
from rectok.data.sources.labels import Labels
from rectok.errors import UserError

IMAGE_COLUMNS = ("image", "img", "jpg", "png", "webp")
LABEL_COLUMNS = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class ParquetColumns:
    """The columns of images and of labels (None if labels lie elsewhere), and the class names that a label indexes.

    `numbers` says whether the labels are numbers rather than text.
    """

    image: str
    label: str | None
    class_names: tuple[str, ...]
    numbers: bool


def columns_in(
    schema: pa.Schema, name: str, labels: Labels, choice: str, first: Callable[[str], bytes]
) -> ParquetColumns:
    """The columns of the file `name`. `first(column)` is its first content that is no null.

    Raises UserError if there is none, or if it is not clear which is meant.
    """
    features = features_of(schema)
    label = _label_column(schema, features, name, labels) if labels.column or labels.setting == "auto" else None
    image = image_column(schema, name, choice, first)
    numbers = label is not None and not _is_text(schema.field(label).type)
    return ParquetColumns(image, label, class_names(features, label), numbers)


def image_column(schema: pa.Schema, name: str, choice: str, first: Callable[[str], bytes]) -> str:
    """The column that `choice` names, or that is declared an image, or has a usual name, or alone holds images."""
    possible = [field.name for field in schema if holds_bytes(field.type)]
    if choice:
        if choice in possible:
            return choice
        raise UserError(
            f"{name} has no column {choice!r} of images (bytes), as index.image asks; it has {_described(schema)}"
        )
    features = features_of(schema)
    declared = [column for column in possible if features.get(column, {}).get("_type") == "Image"]
    usual = [column for column in possible if column in IMAGE_COLUMNS]
    for columns in (declared, usual):
        if columns:
            return _only(columns, name)
    contents = {column: first(column) for column in possible}
    by_path = [column for column in possible if not contents[column] and len(possible) == 1]
    if columns := by_path or [column for column in possible if is_image(contents[column])]:
        return _only(columns, name)
    raise UserError(f"{name} must have a column of images (bytes); it has {_described(schema)}")


def features_of(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """What `datasets` wrote about the columns. Empty for descriptions that cannot be read."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return {}
    for key in ("info", "features"):
        described = described.get(key) if isinstance(described, dict) else None
    return (
        {name: value for name, value in described.items() if isinstance(value, dict)}
        if isinstance(described, dict)
        else {}
    )


def class_names(features: dict[str, dict[str, Any]], column: str | None) -> tuple[str, ...]:
    """The names of a ClassLabel in their order. Empty if the column is none, or if it names none."""
    feature = features.get(column or "", {})
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    if isinstance(names, dict) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    return tuple(map(str, names)) if isinstance(names, list) else ()


def content_of(image: Any) -> bytes | None:
    """The bytes in a value of an image column. None if it holds none, as with a struct that has a path alone."""
    if isinstance(image, dict):
        image = image.get("bytes")
    return None if image is None else bytes(image)


def path_of(image: Any) -> str | None:
    """The path in a value of an image column."""
    path = image.get("path") if isinstance(image, dict) else None
    return path if isinstance(path, str) and path else None


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes, or structs with a field `bytes` of such a type."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return holds_bytes(kind.storage_type)
    if types.is_struct(kind):
        position = kind.get_field_index("bytes")
        field = kind.field(position).type if position >= 0 else None
        return field is not None and (types.is_null(field) or holds_bytes(field))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return bool(types.is_uint8(kind.value_type))
    is_binary = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(is_kind(kind) for is_kind in is_binary)


def _label_column(schema: pa.Schema, features: dict[str, dict[str, Any]], name: str, labels: Labels) -> str:
    named = [labels.column] if labels.column else LABEL_COLUMNS
    present = next((column for column in named if column in schema.names), None)
    if present is not None:
        return present
    declared: list[str] = [column for column in schema.names if features.get(column, {}).get("_type") == "ClassLabel"]
    if labels.column or not declared:
        none = "" if labels.column else "; set index.labels to none if there are no labels"
        column = labels.column or "label"
        raise UserError(
            f"{name} must have a column of images (bytes) and a column `{column}`; it has {_described(schema)}{none}"
        )
    if len(declared) > 1:
        raise UserError(
            f"{name} has several columns of labels, {', '.join(declared)}; name one as in index.labels: column:{declared[0]}"
        )
    return declared[0]


def _only(columns: Sequence[str], name: str) -> str:
    if len(columns) > 1:
        raise UserError(
            f"{name} has several columns of images, {', '.join(columns)}; name the one that is meant in index.image"
        )
    return columns[0]


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
