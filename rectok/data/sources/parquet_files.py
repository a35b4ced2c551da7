"""Parquet files in the Hugging Face layout: image structs (bytes, path) and labels in a column, or by the paths of the images."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rectok.data.sources.image_source import Item, Place, split_in
from rectok.data.sources.labels import Labels
from rectok.errors import UserError
from rectok.storage import below, open_binary, read_bytes

BATCH = 256
_LABELS = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class Layout:
    """Which columns hold images and labels (none if labels lie elsewhere), and the names of classes if labels number them."""

    image: str
    label: str | None
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
        """Names of the ClassLabel feature, if labels lie in one."""
        with self._opened(self.names[0]) as file:
            return _layout(file.schema_arrow, self.names[0], labels).names

    def items(self, labels: Labels) -> Iterator[Item]:
        """Every row that has a label, file by file."""
        for name in self.names:
            split = split_in(name)
            for uri, image, place in self._rows(name, labels):
                if place:
                    yield Item(uri, place.label, place.split or split, partial(self._content, image))

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

    def _rows(self, name: str, labels: Labels) -> Iterator[tuple[str, Any, Place | None]]:
        with self._opened(name) as file:
            layout = _layout(file.schema_arrow, name, labels)
            row = 0
            for batch in file.iter_batches(BATCH, columns=[layout.image, *([layout.label] if layout.label else [])]):
                for record in batch.to_pylist():
                    image, uri = record[layout.image], f"{name}#{row}"
                    if layout.label:
                        yield uri, image, Place(layout.name(record[layout.label], f"row {row} of {name}"), None)
                    else:
                        yield uri, image, labels.place(_file(image, uri, labels))
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


def _layout(schema: pa.Schema, name: str, labels: Labels) -> Layout:
    """Where images and labels lie."""
    image = _image_column(schema)
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    named = [field.name for field in schema if features.get(field.name, {}).get("_type") == "ClassLabel"]
    usual = (labels.column,) if labels.column else (*_LABELS, *named)
    label = next((found for found in usual if found in schema.names), None)
    inside = labels.column or labels.asked == "auto"
    if image is None or (inside and label is None):
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)
        wanted = f" and a column `{labels.column or 'label'}`" if inside else ""
        raise UserError(f"{name} must have a column of images (bytes){wanted}; it has {found}")
    if not inside:
        return Layout(image, None, ())
    return Layout(image, label, tuple(features.get(label, {}).get("names") or ()))


def _file(image: Any, uri: str, labels: Labels) -> str:
    """By what name a table of labels, or its folders, know a row: its image's path, else `file.parquet#row`."""
    path = image.get("path") if isinstance(image, dict) else None
    if not path and labels.asked == "folders":
        raise UserError(
            f"{uri} has no path beside its image, so index.labels folders does not fit; name a table or a column"
        )
    return str(path or uri)


def _image_column(schema: pa.Schema) -> str | None:
    return next((field.name for field in schema if _holds_images(field.type)), None)


def _holds_images(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0))
