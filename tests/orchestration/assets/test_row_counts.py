from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.assets.metadata import row_count
from rectok.data.tensors import write_features


def test_rows_are_counted_in_tables_folders_of_tables_and_tensors(tmp_path: Path) -> None:
    for name in ("0", "1"):
        pq.write_table(pa.table({"key": ["a", "b", "c"]}), tmp_path / f"{name}.parquet")
    tensors = tmp_path / "0.safetensors"
    write_features(tensors, ["0" * 16, "1" * 16], [np.zeros((2, 1, 4, 8), np.float32)], "int8", {})
    assert row_count([tmp_path / "0.parquet", tmp_path / "0.tar"]) == 3
    assert row_count([tmp_path]) == 6
    assert row_count([tensors]) == 2
    assert row_count([tmp_path / "0.tar"]) is None


def test_a_damaged_file_counts_nothing(tmp_path: Path) -> None:
    for name in ("0.parquet", "0.safetensors", "1.safetensors"):
        (tmp_path / name).write_bytes(b"\xff" * 20 if name < "1" else b"")
    assert row_count(sorted(tmp_path.iterdir())) is None
