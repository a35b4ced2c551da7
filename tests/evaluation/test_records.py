from pathlib import Path

import pytest

from rectok.evaluation.records import Record, read_record, write_record


def test_a_record_survives_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = Record({"psnr": 20.0, "probe": [{"t": 0.0}]}, {"psnr": "none", "probe": "none"}, {"images": 8})
    write_record("probe", record)
    assert read_record("probe") == record
    with pytest.raises(AssertionError):
        write_record("probe", Record({"psnr": 20.0}, {}, {}))
    with pytest.raises(ValueError, match="nan"):
        write_record("probe", Record({"psnr": float("nan")}, {"psnr": "none"}, {}))
    assert read_record("probe") == record
