"""The tables of Hugging Face's imagefolder: metadata.csv or metadata.jsonl beside the images of a folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from rectok.data.sources.label_tables import FILE_COLUMNS, Opener, columns_of, read_rows
from rectok.data.sources.labels import Labels, open_table
from rectok.data.sources.names import split_around
from rectok.errors import UserError
from rectok.storage.objects import below, open_binary

METADATA = ("metadata.csv", "metadata.jsonl")


def is_metadata(name: str) -> bool:
    """Whether a file is such a table."""
    return name.rpartition("/")[2] in METADATA


@contextmanager
def open_metadata(root: str, names: Sequence[str], labels: Labels, opener: Opener = open_binary) -> Iterator[Labels]:
    """The labels in the tables `names` below `root`, or `labels` unchanged where those come from elsewhere.

    Raises UserError if some tables lack the column of labels, but others have it or `labels` names it.
    """
    column = labels.column or "label"
    with_labels = _with_column(root, names, column, labels, opener) if labels.setting == "auto" or labels.column else []
    if not with_labels:
        yield labels
        return
    with open_table(labels.setting) as table:
        table.left_out = labels.left_out
        for name in with_labels:
            table.add_all(read_rows(below(root, name), column, opener), name.rpartition("/")[0], split_around(name))
        yield table
        table.check_complete()


def has_labels(root: str, name: str, labels: Labels, content: bytes) -> bool:
    """Whether the table `name` with that content has the columns of files and of labels."""
    columns = columns_of(below(root, name), lambda _: BytesIO(content))
    return (labels.column or "label") in columns and not columns.isdisjoint(FILE_COLUMNS)


def _with_column(root: str, names: Sequence[str], column: str, labels: Labels, opener: Opener) -> Sequence[str]:
    columns = {name: columns_of(below(root, name), opener) for name in names}
    lacking = [name for name in names if column not in columns[name] or columns[name].isdisjoint(FILE_COLUMNS)]
    if not lacking:
        return names
    present = ", ".join(sorted(columns[lacking[0]]))
    if labels.column or len(lacking) < len(names):
        raise UserError(f"{below(root, lacking[0])} must have the columns file_name and {column}; it has {present}")
    labels.hint = (
        f"; to label them, {below(root, lacking[0])} needs the columns file_name and {column}, and it has {present}"
    )
    return []
