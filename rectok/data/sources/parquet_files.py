"""Parquet files in the Hugging Face layout: image structs (bytes, path), and labels in a column or by the images' paths."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rectok.data.sources.image_source import PackedFiles, Readable, SourceImage
from rectok.data.sources.labels import Labels
from rectok.data.sources.names import Annotation, split_in
from rectok.errors import UserError
from rectok.storage.objects import below, open_binary, read_bytes

BATCH = 256
_LABEL_COLUMNS = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class ParquetColumns:
    """The columns of images and of labels (None if labels lie elsewhere), and the class names that a label indexes."""

    image: str
    label: str | None
    class_names: tuple[str, ...]

    def class_name(self, value: Any, where: str) -> str:
        """The class name of a label. Raises UserError for a row without one."""
        if value is None or value == -1:
            raise UserError(f"{where} has no label; leave unlabelled files out of index.source")
        if not self.class_names:
            return str(value)
        if not 0 <= value < len(self.class_names):
            raise UserError(f"{where} has label {value}, but only {len(self.class_names)} classes are named")
        return self.class_names[int(value)]


class ParquetFiles(PackedFiles):
    """Images in rows of parquet files. A uri is `file.parquet#row`."""

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Names of the ClassLabel feature, if labels lie in one."""
        with self._open(self.names[0]) as file:
            return _columns(file.schema_arrow, self.names[0], labels).class_names

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every row that has a label, file by file."""
        for name in self.names:
            split = split_in(name)
            for uri, image, annotation in self._rows(name, labels):
                if annotation:
                    read = partial(self._content, image)
                    yield SourceImage(uri, annotation.label, annotation.split or split, read)

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris`, file by file and row group by row group."""
        by_file: dict[str, list[int]] = defaultdict(list)
        for uri in uris:
            name, _, number = uri.rpartition("#")
            by_file[name].append(int(number))
        for name in sorted(by_file):
            with self._open(name) as file:
                column = _image_column(file.schema_arrow)
                assert column is not None, f"{name} was indexed"
                for row, image in _read_rows(file, column, sorted(by_file[name])):
                    yield f"{name}#{row}", partial(self._content, image)

    def _rows(self, name: str, labels: Labels) -> Iterator[tuple[str, Any, Annotation | None]]:
        with self._open(name) as file:
            columns = _columns(file.schema_arrow, name, labels)
            read = [columns.image, *([columns.label] if columns.label else [])]
            records = (record for batch in file.iter_batches(BATCH, columns=read) for record in batch.to_pylist())
            for row, record in enumerate(records):
                image, uri = record[columns.image], f"{name}#{row}"
                if columns.label:
                    label = columns.class_name(record[columns.label], f"row {row} of {name}")
                    yield uri, image, Annotation(label, None)
                else:
                    yield uri, image, labels.annotate(_file_name(image, uri, labels))

    def _content(self, image: Any) -> bytes:
        """Bytes of an image struct, of plain bytes, or of the file at the struct's path; nothing for a null."""
        if image is None or isinstance(image, bytes):
            return image or b""
        if image.get("bytes") is not None:
            return bytes(image["bytes"])
        return read_bytes(below(self.root, image["path"])) if image.get("path") else b""

    @contextmanager
    def _open(self, name: str) -> Iterator[pq.ParquetFile]:
        try:
            with open_binary(self.path(name)) as stream, pq.ParquetFile(stream) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.path(name)} cannot be read as parquet: {' '.join(str(error).split())}") from None


def _read_rows(file: pq.ParquetFile, column: str, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """(row, image) for the ascending `rows`. Row groups that hold none of them are not read."""
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


def _columns(schema: pa.Schema, name: str, labels: Labels) -> ParquetColumns:
    image = _image_column(schema)
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    class_labels = [field.name for field in schema if features.get(field.name, {}).get("_type") == "ClassLabel"]
    candidates = (labels.column,) if labels.column else (*_LABEL_COLUMNS, *class_labels)
    label = next((column for column in candidates if column in schema.names), None)
    in_column = labels.column or labels.setting == "auto"
    if image is None or (in_column and label is None):
        present = ", ".join(f"{field.name} ({field.type})" for field in schema)
        label_column = f" and a column `{labels.column or 'label'}`" if in_column else ""
        raise UserError(f"{name} must have a column of images (bytes){label_column}; it has {present}")
    if not in_column:
        return ParquetColumns(image, None, ())
    return ParquetColumns(image, label, tuple(features.get(label, {}).get("names") or ()))


def _file_name(image: Any, uri: str, labels: Labels) -> str:
    """The name of a row in a table of labels, or in folders: its image's path, else `file.parquet#row`."""
    path = image.get("path") if isinstance(image, dict) else None
    if not path and labels.setting == "folders":
        raise UserError(
            f"{uri} has no path beside its image, so index.labels folders does not fit; name a table or a column"
        )
    return str(path or uri)


def _image_column(schema: pa.Schema) -> str | None:
    return next((field.name for field in schema if _holds_images(field.type)), None)


def _holds_images(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0))
