"""Row counts of outputs, read from the header of each file."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

ROWS = "checksum"
"""The tensor of our safetensors files that has one value per row."""


def row_count(paths: Iterable[Path]) -> int | None:
    """Rows of the tables among `paths` and in their folders. Damaged files are left out. None if there is no table."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.glob("*.parquet"))]
    counts = [count for file in files if (count := _count(file)) is not None]
    return sum(counts) if counts else None


def _count(path: Path) -> int | None:
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    if path.suffix == ".safetensors":
        return _tensor_rows(path)
    return None


def _parquet_rows(path: Path) -> int | None:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        return int(read_metadata(path).num_rows)
    except ArrowException:
        return None


def _tensor_rows(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
        return int(header[ROWS]["shape"][0])
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError):
        return None
