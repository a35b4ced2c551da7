"""The tables of Hugging Face's imagefolder: metadata.csv or metadata.jsonl beside the images of a folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rectok.data.sources.label_tables import FILE_COLUMNS, columns_of, read_rows
from rectok.data.sources.labels import Labels, open_table
from rectok.data.sources.names import split_around
from rectok.errors import UserError
from rectok.storage.objects import below

METADATA = ("metadata.csv", "metadata.jsonl")


def is_metadata(name: str) -> bool:
    """Whether a file is such a table."""
    return name.rpartition("/")[2] in METADATA


@contextmanager
def open_metadata(root: str, names: Sequence[str], labels: Labels) -> Iterator[Labels]:
    """The labels in the tables `names` below `root`, or `labels` unchanged where those come from elsewhere.

    Raises UserError if some tables lack the column of labels, but others have it or `labels` names it.
    """
    column = labels.column or "label"
    with_labels = (
        _with_column(root, names, column, bool(labels.column)) if labels.setting == "auto" or labels.column else []
    )
    if not with_labels:
        yield labels
        return
    with open_table(labels.setting) as table:
        table.left_out = labels.left_out
        for name in with_labels:
            table.add_all(read_rows(below(root, name), column), name.rpartition("/")[0], split_around(name))
        yield table
        table.check_complete()


def _with_column(root: str, names: Sequence[str], column: str, required: bool) -> Sequence[str]:
    columns = {name: columns_of(below(root, name)) for name in names}
    lacking = [name for name in names if column not in columns[name] or columns[name].isdisjoint(FILE_COLUMNS)]
    if lacking and (required or len(lacking) < len(names)):
        raise UserError(
            f"{below(root, lacking[0])} must have the columns file_name and {column}; "
            f"it has {', '.join(sorted(columns[lacking[0]]))}"
        )
    return [] if lacking else names
