"""Where labels come from: what the source itself says, its folders, one column, or a table of files (CSV or JSON)."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rectok.data.data_config import COLUMN, Split
from rectok.data.sources.image_source import Place, place_of, split_named
from rectok.errors import UserError
from rectok.storage import open_binary

Row = tuple[str, str, Split | None]
"""A file's name below the source, its label, its split if one is named."""


@dataclass
class Labels:
    """What `index.labels` asks for: `asked`, and the column's name where it asks for one."""

    asked: str
    column: str = ""
    unlisted: int = 0
    """Files that had no label so far."""

    def place(self, name: str) -> Place | None:
        """Label and split of the file `name`; None for a file that is to be left out."""
        return place_of(name)

    def check_complete(self) -> None:
        """Raises UserError when a label was given for a file that was never asked for."""


class Listed(Labels):
    """Labels of a table, which lies on disk; a CSV of any length costs no memory, JSON is read whole."""

    def __init__(self, asked: str, table: sqlite3.Connection) -> None:
        super().__init__(asked)
        self.table = table
        table.execute("CREATE TABLE row (file TEXT PRIMARY KEY, label TEXT, split TEXT, met INT) WITHOUT ROWID")

    def fill(self, rows: Iterable[Row]) -> None:
        """Take all rows. Raises UserError for a file that has two labels."""
        for file, label, split in rows:
            known = self._row(file)
            if known and known != (label, split):
                raise UserError(f"index.labels {self.asked} names {file} twice, as {known[0]} and as {label}")
            self.table.execute("INSERT OR IGNORE INTO row VALUES (?, ?, ?, 0)", (file, label, split))

    def place(self, name: str) -> Place | None:
        """Label and split of a listed file. Raises UserError where a second one has its name."""
        found = self._row(name)
        if found is None:
            self.unlisted += 1
            return None
        if self.table.execute("UPDATE row SET met = 1 WHERE file = ? AND met = 0", (name,)).rowcount == 0:
            raise UserError(
                f"index.labels {self.asked} gives {name} a label, but index.source holds several of that name; give each a "
                "name of its own, or take their labels from folders or a column"
            )
        return Place(*found)

    def check_complete(self) -> None:
        """Raises UserError naming a listed file that the source does not hold: it may not be copied whole yet."""
        missing = self.table.execute("SELECT min(file), count(*) FROM row WHERE met = 0").fetchone()
        if missing[1]:
            raise UserError(
                f"index.labels {self.asked} lists {missing[0]}, which index.source does not hold ({missing[1]} such files); "
                "names count from the source's root, as in train/1.jpg"
            )

    def _row(self, name: str) -> Any:
        return self.table.execute("SELECT label, split FROM row WHERE file = ?", (name,)).fetchone()


@contextmanager
def opened_labels(asked: str) -> Iterator[Labels]:
    """The labels that `index.labels` asks for. Raises UserError when their table cannot be read."""
    if asked.endswith((".csv", ".json")):
        with closing(sqlite3.connect("")) as table:  # a temporary file, gone with the connection
            labels = Listed(asked, table)
            labels.fill(_csv(asked) if asked.endswith(".csv") else _json(asked))
            yield labels
        return
    yield Labels(asked, asked.removeprefix(COLUMN) if asked.startswith(COLUMN) else "")


def label_of(value: Any, where: str) -> str:
    """A label as text. Raises UserError for anything but text and whole numbers."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise UserError(f"{where} has the label {value!r}; it must be text or a whole number")
    return str(value)


def _csv(path: str) -> Iterator[Row]:
    with open_binary(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        try:
            rows = csv.DictReader(text)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path} must begin with a line that names its columns: file, label and perhaps split")
            for row in rows:
                where = f"line {rows.line_num} of {path}"
                if not row["file"]:
                    raise UserError(f"{where} names no file")
                yield _named(row["file"]), label_of(row["label"], where), _split(row.get("split"), where)
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} cannot be read as CSV in UTF-8: {error}") from None


def _json(path: str) -> Iterator[Row]:
    with open_binary(path) as file:
        try:
            found = json.load(file)
        except ValueError as error:
            raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f'{path} must hold an object of labels by file, such as {{"train/1.jpg": "cat"}}')
    for name, label in found.items():
        yield _named(name), label_of(label, f"{name} in {path}"), None


def _named(name: str) -> str:
    return name.removeprefix("./")


def _split(word: str | None, where: str) -> Split | None:
    if not word:
        return None
    split = split_named(word)
    if split is None:
        raise UserError(f"{where} has the split {word!r}; it must be train, val or test")
    return split
