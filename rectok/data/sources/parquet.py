"""Parquet files in the Hugging Face layout: a column of image structs (bytes, path) and a column of labels."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rectok.data.sources.item import Item, split_in
from rectok.data.sources.labels import Labels
from rectok.errors import UserError
from rectok.storage import below, open_binary, read_bytes

BATCH = 256
_LABELS = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class Layout:
    """Which columns hold images and labels, and the class names where labels are numbers of named classes."""

    image: str
    label: str
    names: tuple[str, ...]

    def name(self, value: Any, where: str) -> str:
        """The class name of a label. Raises UserError for a row without one."""
        if value is None or value == -1:
            raise UserError(f"{where} has no label; leave unlabelled files out of index.source")
        if not self.names:
            return str(value)
        if not 0 <= value < len(self.names):
            raise UserError(f"{where} has label {value}, but only {len(self.names)} classes are named")
        return self.names[int(value)]


class Parquet:
    """Images in rows of parquet files `names` below `root` (local or s3://); uris are `file.parquet#row`."""

    def __init__(self, root: str, names: Sequence[str]) -> None:
        self.root, self.names = root, names

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Names of the ClassLabel feature, if there is one."""
        with self._opened(self.names[0]) as file:
            return _layout(file.schema_arrow, self.names[0], labels.column).names

    def items(self, labels: Labels) -> Iterator[Item]:
        """Every row of every file."""
        if labels.asked != "auto" and not labels.column:
            raise UserError(
                f"index.labels {labels.asked} does not fit index.source {self.root}, whose labels lie in a column of its "
                "parquet files; set it to auto or to column:NAME"
            )
        for name in self.names:
            split = split_in(name)
            for row, image, label in self._rows(name, labels.column):
                yield Item(f"{name}#{row}", label, split, partial(self._content, image))

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it), file by file and row group by row group."""
        wanted: dict[str, list[int]] = defaultdict(list)
        for uri in uris:
            name, _, number = uri.rpartition("#")
            wanted[name].append(int(number))
        for name in sorted(wanted):
            with self._opened(name) as file:
                column = _image_column(file.schema_arrow)
                assert column is not None, f"{name} was indexed"
                for row, image in _images(file, column, sorted(wanted[name])):
                    yield f"{name}#{row}", partial(self._content, image)

    def _rows(self, name: str, column: str) -> Iterator[tuple[int, Any, str]]:
        with self._opened(name) as file:
            layout = _layout(file.schema_arrow, name, column)
            row = 0
            for batch in file.iter_batches(BATCH, columns=[layout.image, layout.label]):
                images, labels = batch.column(layout.image), batch.column(layout.label)
                for image, label in zip(images, labels, strict=True):
                    yield row, image.as_py(), layout.name(label.as_py(), f"row {row} of {name}")
                    row += 1

    def _content(self, image: Any) -> bytes:
        """Bytes of an image struct, of plain bytes, or of the file that the struct's path names; nothing for a null."""
        if image is None or isinstance(image, bytes):
            return image or b""
        if image.get("bytes") is not None:
            return bytes(image["bytes"])
        return read_bytes(below(self.root, image["path"])) if image.get("path") else b""

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        path = below(self.root, name)
        try:
            with open_binary(path) as stream, pq.ParquetFile(stream) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} cannot be read as parquet: {' '.join(str(error).split())}") from None


def _images(file: pq.ParquetFile, column: str, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """(row, image) for the ascending `rows`; only row groups that hold one are read."""
    start, pending = 0, list(reversed(rows))
    for group in range(file.num_row_groups):
        stop = start + file.metadata.row_group(group).num_rows
        if pending and pending[-1] < stop:
            images = file.read_row_group(group, columns=[column]).column(0)
            while pending and pending[-1] < stop:
                row = pending.pop()
                yield row, images[row - start].as_py()
        start = stop
    if pending:
        raise UserError(f"row {pending[-1]} is not in the parquet file any more; run the stage `index` again")


def _layout(schema: pa.Schema, name: str, column: str) -> Layout:
    """Where images and labels lie; `column` holds the labels if it is named."""
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    image = _image_column(schema)
    named = [field.name for field in schema if features.get(field.name, {}).get("_type") == "ClassLabel"]
    usual = (column,) if column else (*_LABELS, *named)
    label = next((found for found in usual if found in schema.names), None)
    if image is None or label is None:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)
        wanted = column or "label"
        raise UserError(f"{name} must have a column of images (bytes) and a column `{wanted}`; it has {found}")
    return Layout(image, label, tuple(features.get(label, {}).get("names") or ()))


def _image_column(schema: pa.Schema) -> str | None:
    return next((field.name for field in schema if _holds_images(field.type)), None)


def _holds_images(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0))
