"""Parquet tables of the index and of shards: their columns, and rows as dataclasses. Fast to import."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rectok.errors import UserError
from rectok.files import replacing

ROW_GROUP = 2**16


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One image: where it lies in the source, its class, its split, and its content's size and hash."""

    key: str
    uri: str
    label: int
    split: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardRow:
    """One packed image: where its PNG lies in the tar, and what it must hash to."""

    key: str
    label: int
    split: str
    offset: int
    size: int
    sha256: str


_TYPES: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64()}


def arrow_schema(row: type[IndexRow] | type[ShardRow]) -> pa.Schema:
    """Column names and types of a table of `row`."""
    return pa.schema([(field.name, _TYPES[field.type]) for field in row.__dataclass_fields__.values()])


def write_table(
    path: Path, rows: Iterable[IndexRow] | Iterable[ShardRow], kind: type[IndexRow] | type[ShardRow]
) -> None:
    """Write rows atomically, holding one row group of them; the same rows give the same bytes."""
    schema, left = arrow_schema(kind), iter(rows)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while group := list(islice(left, ROW_GROUP)):
            columns = {name: [getattr(row, name) for row in group] for name in schema.names}
            writer.write_table(pa.table(columns, schema=schema))


def read_table(path: Path) -> pa.Table:
    """The table in `path`. Raises FileNotFoundError if there is none, UserError if it is damaged."""
    with path.open("rb") as file:
        try:
            # pq.read_table would import pandas; a table this small needs no thread that could outlive the process.
            return pq.ParquetFile(file).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from None


def read_index(path: Path) -> list[IndexRow]:
    """The rows of one shard's index."""
    return [IndexRow(**row) for row in read_table(path).to_pylist()]
