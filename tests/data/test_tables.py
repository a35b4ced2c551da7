from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rectok.data import tables
from rectok.data.tables import IndexRow, read_index, read_table, write_table
from rectok.errors import UserError

ROWS = [IndexRow("0" * 16, "cat/ä.png", 1, "train", 10, "0" * 64), IndexRow("1" * 16, "b", 0, "val", 0, "1" * 64)]


def test_rows_survive_and_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_table(first, ROWS, IndexRow)
    write_table(second, ROWS, IndexRow)
    assert read_index(first) == ROWS
    assert first.read_bytes() == second.read_bytes()


def test_rows_that_come_one_by_one_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 3)
    rows = [IndexRow(f"{n:016x}", "b", 0, "val", 0, "1" * 64) for n in range(8)]
    write_table(tmp_path / "a.parquet", iter(rows), IndexRow)
    assert read_index(tmp_path / "a.parquet") == rows
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


def test_an_empty_table_keeps_its_types(tmp_path: Path) -> None:
    for rows in ([], ROWS):
        write_table(tmp_path / f"{len(rows)}.parquet", rows, IndexRow)
    empty, full = (read_table(tmp_path / f"{n}.parquet") for n in (0, 2))
    assert empty.schema == full.schema
    assert empty.num_rows == 0


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, ROWS, IndexRow)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a\.parquet is damaged"):
        read_table(path)
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.parquet")
