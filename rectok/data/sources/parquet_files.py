"""Parquet files of images (bytes, or structs of bytes and path), with labels in a column, by paths, or in a table."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rectok.data.sources.class_names import ClassNames, join
from rectok.data.sources.containment import uri_inside
from rectok.data.sources.image_source import PackedFiles, Readable, SourceImage, annotated
from rectok.data.sources.label_values import is_missing, label_of, number_in, whole_number
from rectok.data.sources.labels import Labels
from rectok.data.sources.names import Annotation, split_in
from rectok.data.sources.parquet_columns import ParquetColumns, columns_in, content_of, image_column, path_of
from rectok.errors import UserError
from rectok.storage.objects import open_binary, read_bytes

BATCH = 256


@dataclass(frozen=True)
class ParquetLabels:
    """The columns of every file, and the classes that their labels name together (None if no file names classes)."""

    columns: dict[str, ParquetColumns]
    classes: ClassNames | None

    def annotation(self, file: str, value: Any, where: str) -> Annotation:
        """The class of a label in `file`. Raises UserError, which begins with `where`, for a value that is none."""
        if is_missing(value):
            raise UserError(
                f"{where} has no label; leave unlabelled files out of index.source, or set index.labels to none"
            )
        label = label_of(value, where)
        number = number_in(label) if whole_number(value) is None else whole_number(value)
        if self.classes is None:
            self._require_number(file, number, label, where)
            return Annotation(label, None)
        name = self.classes.by_name(value) or self.classes.by_name(label) if isinstance(value, str) else None
        if name is None and number is not None:
            name = self.classes.by_number(file, number)
        if name is None:
            raise UserError(self._unknown(self.classes, file, label, where))
        return Annotation(name, None)

    def _require_number(self, file: str, number: int | None, label: str, where: str) -> None:
        """Raises UserError for text in one file where another has numbers that no file names."""
        numbered = next((other for other, columns in self.columns.items() if columns.numbers), None)
        if number is None and numbered and numbered != file:
            raise UserError(
                f"{where} has the label {label!r}, but {numbered} has numbers and no names for them; give both files one kind "
                "of label"
            )

    def _unknown(self, classes: ClassNames, file: str, label: str, where: str) -> str:
        names = self.columns[file].class_names
        if names.count(label) > 1:
            return f"{where} has label {label}, which names {names.count(label)} classes; give its number"
        if names:
            return f"{where} has label {label}, but only {len(names)} classes are named"
        return f"{where} has label {label} and {file} names no classes, but {classes.example} names others; name them in both"


class ParquetFiles(PackedFiles):
    """Images in rows of parquet files. A uri is `file.parquet#row`."""

    def __init__(self, root: str, list_names: Callable[[], list[str]], choice: str = "") -> None:
        super().__init__(root, list_names, choice)
        self._known: dict[str, ParquetLabels] = {}
        """What the files' schemas say, by `index.labels`."""

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Names of the ClassLabel features of all files, if labels lie in such."""
        classes = self._labels(labels).classes
        return classes.names if classes else ()

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every row that has a label, file by file."""
        parquet_labels = self._labels(labels)
        for name in self.names:
            split = split_in(name)
            for row, image, annotation in self._rows(name, parquet_labels, labels):
                if annotation:
                    yield annotated(
                        f"{name}#{row}", annotation, split, partial(self._content, image, f"row {row} of {name}")
                    )

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris`, file by file and row group by row group."""
        by_file: dict[str, list[int]] = defaultdict(list)
        for uri in uris:
            name, _, number = uri.rpartition("#")
            by_file[name].append(int(number))
        for name in sorted(by_file):
            with self._open(name) as file:
                column = image_column(file.schema_arrow, name, self.choice, _first_content(file))
                for row, image in _read_rows(file, column, sorted(by_file[name])):
                    yield f"{name}#{row}", partial(self._content, image, f"row {row} of {name}")

    def _labels(self, labels: Labels) -> ParquetLabels:
        if labels.setting not in self._known:
            columns = {name: self._columns(name, labels) for name in self.names}
            classes = join({name: each.class_names for name, each in columns.items()})
            self._known[labels.setting] = ParquetLabels(columns, classes)
        return self._known[labels.setting]

    def _columns(self, name: str, labels: Labels) -> ParquetColumns:
        with self._open(name) as file:
            return columns_in(file.schema_arrow, name, labels, self.choice, _first_content(file))

    def _rows(
        self, name: str, parquet_labels: ParquetLabels, labels: Labels
    ) -> Iterator[tuple[int, Any, Annotation | None]]:
        columns = parquet_labels.columns[name]
        with self._open(name) as file:
            read = [columns.image, *([columns.label] if columns.label else [])]
            records = (record for batch in file.iter_batches(BATCH, columns=read) for record in batch.to_pylist())
            for row, record in enumerate(records):
                image, where = record[columns.image], f"row {row} of {name}"
                if columns.label:
                    yield row, image, parquet_labels.annotation(name, record[columns.label], where)
                else:
                    yield row, image, labels.annotate(_file_name(image, f"{name}#{row}", labels))

    def _content(self, image: Any, where: str) -> bytes:
        """Bytes of an image struct, of plain bytes, or of the file at the struct's path; nothing for a null."""
        content, path = content_of(image), path_of(image)
        if content is not None or path is None:
            return content or b""
        try:
            uri = uri_inside(self.root, path, where)
        except UserError as error:
            raise UserError(f"{error}, or the images' bytes must lie in the Parquet file") from None
        try:
            return read_bytes(uri)
        except UserError as error:
            raise UserError(f"{where} names the file {path!r}; {error}") from None

    @contextmanager
    def _open(self, name: str) -> Iterator[pq.ParquetFile]:
        try:
            with open_binary(self.path(name)) as stream, pq.ParquetFile(stream) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.path(name)} cannot be read as parquet: {' '.join(str(error).split())}") from None


def _first_content(file: pq.ParquetFile) -> Callable[[str], bytes]:
    """The first content of a column that is no null, for columns whose names say nothing."""

    def first(column: str) -> bytes:
        batches = file.iter_batches(1, columns=[column])
        values = (content_of(value) for batch in batches for value in batch.column(0).to_pylist())
        return next((value for value in values if value), b"")

    return first


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


def _file_name(image: Any, uri: str, labels: Labels) -> str:
    """The name of a row in a table of labels, or in folders: its image's path, else `file.parquet#row`."""
    path = path_of(image)
    if not path and labels.setting == "folders":
        raise UserError(
            f"{uri} has no path beside its image, so index.labels folders does not fit; name a table or a column"
        )
    return path or uri
