"""Where labels come from: the source itself, its folders, one column, or a table of files (CSV or JSON)."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from rectok.data.data_config import COLUMN, Split
from rectok.data.sources.names import Annotation, annotation_in, split_named
from rectok.errors import UserError
from rectok.storage.objects import open_binary


class Labels:
    """The value of `index.labels` as `setting`, and the `column` that it names, if any."""

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.column = setting.removeprefix(COLUMN) if setting.startswith(COLUMN) else ""
        self.unlisted = 0
        """How many files had no label so far."""

    def annotate(self, name: str) -> Annotation | None:
        """Label and split of the file `name`. None if the index leaves the file out."""
        return annotation_in(name)

    def check_complete(self) -> None:
        """Raises UserError if a table labels a file that the source does not hold."""


class LabelTable(Labels):
    """Labels of a table, kept in a database on disk. A CSV of any length costs no memory; JSON is read whole."""

    def __init__(self, setting: str, database: sqlite3.Connection) -> None:
        super().__init__(setting)
        self.database = database
        database.execute("CREATE TABLE label (file TEXT PRIMARY KEY, label TEXT, split TEXT, used INT) WITHOUT ROWID")

    def add_all(self, rows: Iterable[tuple[str, Annotation]]) -> None:
        """Add all (file, annotation). Raises UserError for a file with two labels."""
        for file, row in rows:
            earlier = self._row(file)
            if earlier and earlier != row:
                raise UserError(
                    f"index.labels {self.setting} names {file} twice, as {earlier.label} and as {row.label}"
                )
            self.database.execute("INSERT OR IGNORE INTO label VALUES (?, ?, ?, 0)", (file, row.label, row.split))

    def annotate(self, name: str) -> Annotation | None:
        """Label and split of a listed file. Raises UserError if a second file has its name."""
        row = self._row(name)
        if row is None:
            self.unlisted += 1
        elif not self.database.execute("UPDATE label SET used = 1 WHERE file = ? AND used = 0", (name,)).rowcount:
            raise UserError(
                f"index.labels {self.setting} gives {name} a label, but index.source holds several of that name; give each "
                "a name of its own, or take their labels from folders or a column"
            )
        return row

    def check_complete(self) -> None:
        """Raises UserError if the table labels a file that the source does not hold: its copy may be incomplete."""
        first, count = self.database.execute("SELECT min(file), count(*) FROM label WHERE used = 0").fetchone()
        if count:
            raise UserError(
                f"index.labels {self.setting} lists {first}, which index.source does not hold ({count} such files); "
                "names must be relative to index.source, as in train/1.jpg"
            )

    def _row(self, name: str) -> Annotation | None:
        row = self.database.execute("SELECT label, split FROM label WHERE file = ?", (name,)).fetchone()
        return row and Annotation(*row)


@contextmanager
def open_labels(setting: str) -> Iterator[Labels]:
    """The labels that `index.labels` names. Raises UserError if their table cannot be read."""
    if not setting.endswith((".csv", ".json")):
        yield Labels(setting)
        return
    with closing(sqlite3.connect("")) as database:  # a temporary file, removed with the connection
        table = LabelTable(setting, database)
        table.add_all(_read_csv(setting) if setting.endswith(".csv") else _read_json(setting))
        yield table


def label_of(value: Any, where: str) -> str:
    """A label as text. Raises UserError for anything but text and whole numbers."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise UserError(f"{where} has the label {value!r}; it must be text or a whole number")
    return str(value)


def _read_csv(path: str) -> Iterator[tuple[str, Annotation]]:
    with open_binary(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        try:
            rows = csv.DictReader(text)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path} must begin with a line that names its columns: file, label and perhaps split")
            for row in rows:
                where = f"line {rows.line_num} of {path}"
                if not row["file"]:
                    raise UserError(f"{where} names no file")
                annotation = Annotation(label_of(row["label"], where), _split(row.get("split"), where))
                yield row["file"].removeprefix("./"), annotation
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} cannot be read as CSV in UTF-8: {error}") from None


def _read_json(path: str) -> Iterator[tuple[str, Annotation]]:
    with open_binary(path) as file:
        try:
            labels = json.load(file)
        except ValueError as error:
            raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(labels, dict):
        raise UserError(f'{path} must hold an object of labels by file, such as {{"train/1.jpg": "cat"}}')
    for name, label in labels.items():
        yield name.removeprefix("./"), Annotation(label_of(label, f"{name} in {path}"), None)


def _split(word: str | None, where: str) -> Split | None:
    split = split_named(word) if word else None
    if word and split is None:
        raise UserError(f"{where} has the split {word!r}; it must be train, val or test")
    return split
