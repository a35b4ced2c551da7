"""Where labels come from: the source itself, its folders, one column, a table of files (CSV or JSON), or nowhere."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from rectok.artifacts import UNLABELLED
from rectok.data.data_config import COLUMN, Split, is_table
from rectok.data.sources.containment import name_inside
from rectok.data.sources.folder_labels import folder_of
from rectok.data.sources.label_tables import TableRow, read_table
from rectok.data.sources.left_out import LeftOut
from rectok.data.sources.names import Annotation, is_hidden, kind_of, split_around
from rectok.errors import UserError


class Labels:
    """The value of `index.labels` as `setting`, and the `column` that it names, if any. `left_out` is what has no label."""

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.column = setting.removeprefix(COLUMN) if setting.startswith(COLUMN) else ""
        self.none = setting == "none"
        self.left_out = LeftOut()
        self.hint = ""
        """Why a table beside the images gives no labels, for a sentence that there are none."""

    @property
    def by_folders(self) -> bool:
        """Whether folders give the labels of single files."""
        return self.setting in ("auto", "folders")

    @property
    def unlisted(self) -> int:
        """How many files a table did not name so far."""
        return self.left_out.count("not in the table")

    def annotate(self, name: str) -> Annotation | None:
        """Label and split of the file `name`. None if the index leaves the file out."""
        if is_hidden(name):
            return None
        if self.none:
            return Annotation(UNLABELLED, split_around(name))
        if folder := folder_of(name):
            return Annotation("", None, folder)
        self.left_out.add("beside the class folders" if kind_of(name) == "image" else "not an image", name)
        return None

    def check_complete(self) -> None:
        """Raises UserError if a table labels a file that the source does not hold."""


class LabelTable(Labels):
    """Labels of a table, kept in a database on disk. A CSV of any length costs no memory; JSON is read whole."""

    def __init__(self, setting: str, database: sqlite3.Connection) -> None:
        super().__init__(setting)
        self.database = database
        database.execute("CREATE TABLE label (file TEXT PRIMARY KEY, label TEXT, split TEXT, used INT) WITHOUT ROWID")

    def add_all(self, rows: Iterable[TableRow], folder: str = "", split: Split | None = None) -> None:
        """Add all rows. Their files are relative to `folder` of the source, and in `split` if they name none.

        Raises UserError for a file that is named twice or lies outside of the source.
        """
        for row in rows:
            name, new = name_inside(row.file, row.where, folder), row.annotation
            earlier = self._row(name)
            if earlier:
                raise UserError(
                    f"index.labels {self.setting} names {name} twice, as {earlier.label} and as {new.label} ({row.where})"
                )
            self.database.execute("INSERT INTO label VALUES (?, ?, ?, 0)", (name, new.label, new.split or split))

    def annotate(self, name: str) -> Annotation | None:
        """Label and split of a listed file. Raises UserError if a second file has its name."""
        row = self._row(name)
        if row is None:
            self.left_out.add("not in the table", name)
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
def open_table(setting: str) -> Iterator[LabelTable]:
    """An empty table."""
    with closing(sqlite3.connect("")) as database:  # a temporary file, removed with the connection
        yield LabelTable(setting, database)


@contextmanager
def open_labels(setting: str) -> Iterator[Labels]:
    """The labels that `index.labels` names. Raises UserError if their table cannot be read."""
    if not is_table(setting):
        yield Labels(setting)
        return
    with open_table(setting) as table:
        table.add_all(read_table(setting))
        yield table
