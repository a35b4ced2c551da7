from pathlib import Path

import pytest

from rectok.artifacts import metrics_file, read_json
from rectok.errors import UserError
from rectok.evaluation.metrics import Record, read_record, record_of, write_record


def test_a_record_survives_the_disk(here: Path) -> None:
    metrics = {"semantic_accuracy": 0.5, "probe": [{"t": 0.0, "accuracy": 0.9}]}
    record = record_of("probe", metrics, {"images": 8})
    assert record.networks == dict.fromkeys(metrics, "no network: logistic regression")
    write_record("probe", record)
    assert read_record("probe") == record
    with pytest.raises(AssertionError):
        write_record("probe", Record({"psnr": 20.0}, {}, {}))
    with pytest.raises(
        ValueError, match=r"probe wrote metrics that METRICS lacks: \['psnr'\].*: \['probe', 'semantic_ac"
    ):
        record_of("probe", {"psnr": 20.0}, {})
    with pytest.raises(ValueError, match="nan"):
        write_record("probe", Record({"psnr": float("nan")}, {"psnr": "none"}, {}))
    assert read_record("probe") == record


def test_dvc_metrics_are_numbers_and_nothing_else(here: Path) -> None:
    metrics = {"gfid": 8.5, "sample_accuracy": None, "probe": [{"t": 0.25, "accuracy": 0.75}]}
    write_record("probe", Record(metrics, dict.fromkeys(metrics, "a metric network"), {"sampler": "euler", "n": 8}))
    assert read_json(metrics_file("probe")) == {"gfid": 8.5, "probe@0.25": 0.75}


def test_a_metric_that_is_no_number_is_named_by_its_title() -> None:
    points = [{"t": 0.0, "accuracy": 0.9}, {"t": 0.5, "accuracy": float("nan")}]
    with pytest.raises(UserError, match=r"the metric Linear probe at t = 0.5 of probe is nan; most likely"):
        record_of("probe", {"semantic_accuracy": None, "probe": points}, {})
