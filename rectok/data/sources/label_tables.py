"""Tables that label files: CSV, JSON {file: label}, and JSON lines."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from rectok.data.data_config import Split
from rectok.data.sources.label_values import label_of
from rectok.data.sources.names import Annotation, split_named
from rectok.errors import UserError
from rectok.storage.objects import open_binary

FILE_COLUMNS = ("file", "file_name")
"""Names of the column of files. The second is that of Hugging Face's imagefolder."""
DELIMITERS = ",;\t"
"""Between the values of a CSV file. Spreadsheets write semicolons where the comma is the decimal mark."""
Opener = Callable[[str], AbstractContextManager[BinaryIO]]
"""Opens the file with a name, such as one in an archive."""
Record = tuple[str, dict[str, Any]]
"""A row's place in words, and its values by column."""


@dataclass(frozen=True)
class TableRow:
    """A file with its label and split, and the row's place in words."""

    file: str
    annotation: Annotation
    where: str


def read_table(path: str) -> Iterator[TableRow]:
    """The rows of a CSV or JSON file. Raises UserError, with the row, if one is of no use."""
    if path.endswith(".json"):
        return _read_json(path)
    columns = columns_of(path)
    if "label" not in columns or columns.isdisjoint(FILE_COLUMNS):
        raise UserError(f"{path} must begin with a line that names its columns: file, label and perhaps split")
    return read_rows(path, "label")


def read_rows(path: str, column: str, opener: Opener = open_binary) -> Iterator[TableRow]:
    """The rows of a CSV or JSON lines file with labels in `column`. Raises UserError, with the row, if one is of no use."""
    for where, row in _records(path, opener):
        file = next((row[name] for name in FILE_COLUMNS if row.get(name)), None)
        if not isinstance(file, str):
            raise UserError(f"{where} names no file")
        yield TableRow(file, Annotation(label_of(row.get(column), where), _split(row.get("split"), where)), where)


def columns_of(path: str, opener: Opener = open_binary) -> set[str]:
    """The columns of a CSV file, or the keys of the first line of a JSON lines file."""
    if path.endswith(".jsonl"):
        return set(next((row for _, row in _json_lines(path, opener)), {}))
    with _open_csv(path, opener) as rows:
        return set(rows.fieldnames or ())


def _records(path: str, opener: Opener) -> Iterator[Record]:
    return _json_lines(path, opener) if path.endswith(".jsonl") else _csv_records(path, opener)


def _csv_records(path: str, opener: Opener) -> Iterator[Record]:
    with _open_csv(path, opener) as rows:
        for row in rows:
            where = f"line {rows.line_num} of {path}"
            if None in row:
                mark = rows.reader.dialect.delimiter
                raise UserError(f"{where} has more values than there are columns; put values with {mark!r} into quotes")
            yield where, row


@contextmanager
def _open_csv(path: str, opener: Opener) -> Iterator["csv.DictReader[str]"]:
    """A reader of rows with the delimiter of the first line. Raises UserError for text that is no CSV in UTF-8, and for two
    columns of one name.
    """
    with opener(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        try:
            first = text.readline()
            rows = csv.DictReader(chain([first], text), delimiter=max(DELIMITERS, key=first.count))
            names = list(rows.fieldnames or ())
            if len(set(names)) < len(names):
                raise UserError(f"{path} has several columns of one name; its first line is {', '.join(names)}")
            yield rows
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} cannot be read as CSV in UTF-8: {error}") from None


def _json_lines(path: str, opener: Opener) -> Iterator[Record]:
    with opener(path) as file:
        for number, line in enumerate(file, 1):
            where = f"line {number} of {path}"
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise UserError(f"{where} cannot be read as JSON: {error}") from None
            if not isinstance(record, dict):
                raise UserError(f"{where} must hold an object with the key file_name")
            yield where, record


def _read_json(path: str) -> Iterator[TableRow]:
    with open_binary(path) as file:
        try:
            labels = json.load(file, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(labels, _Pairs):
        raise UserError(f'{path} must hold an object of labels by file, such as {{"train/1.jpg": "cat"}}')
    for name, label in labels:
        where = f"{name} in {path}"
        yield TableRow(name, Annotation(label_of(label, where), None), where)


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of a JSON object. A dict would hide a key that is there twice."""


def _split(word: object, where: str) -> Split | None:
    split = split_named(str(word)) if word else None
    if word and split is None:
        raise UserError(f"{where} has the split {word!r}; it must be train, val or test")
    return split
