"""Parquet tables of the index and of shards, with their rows as dataclasses. Fast to import."""

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
    """One image: its uri in the source, its class, its split, and its content's size and hash."""

    key: str
    uri: str
    label: int
    split: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardRow:
    """One packed image: the position of its PNG in the tar, and the PNG's hash."""

    key: str
    label: int
    split: str
    offset: int
    size: int
    sha256: str


_TYPES: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64()}


def arrow_schema(row_type: type[IndexRow] | type[ShardRow]) -> pa.Schema:
    """Column names and types of a table of such rows."""
    return pa.schema([(field.name, _TYPES[field.type]) for field in row_type.__dataclass_fields__.values()])


def write_table(
    path: Path, rows: Iterable[IndexRow] | Iterable[ShardRow], row_type: type[IndexRow] | type[ShardRow]
) -> None:
    """Write rows atomically. Holds one row group of them. The same rows give the same bytes."""
    schema, remaining = arrow_schema(row_type), iter(rows)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while group := list(islice(remaining, ROW_GROUP)):
            columns = {name: [getattr(row, name) for row in group] for name in schema.names}
            writer.write_table(pa.table(columns, schema=schema))


def read_table(path: Path) -> pa.Table:
    """The table in `path`. Raises FileNotFoundError if there is none, UserError if it is damaged."""
    with path.open("rb") as file:
        try:
            # pq.read_table would import pandas. A small table needs no thread, which could outlive the process.
            return pq.ParquetFile(file).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from None


def read_index(path: Path) -> list[IndexRow]:
    """The rows of one shard's index."""
    return [IndexRow(**row) for row in read_table(path).to_pylist()]
