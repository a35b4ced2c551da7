from pathlib import Path

import pytest

from rectok import artifacts
from rectok.evaluation.metrics import METRICS
from rectok.reporting.summary import duration, read_summary, training_speed
from rectok.train.throughput import record
from tests.errors import user_error
from tests.evaluation import project


@pytest.fixture(autouse=True)
def finished(here: Path) -> None:
    project.build_results()


def test_every_figure_has_its_network_and_a_name_for_people() -> None:
    summary = read_summary()
    assert summary.networks.keys() == summary.metrics.keys() == METRICS.keys()
    assert summary.as_json()["gfid_guided"] == 8.25
    assert summary.as_json()["protocol"]["probe"]["split"] == "test"


def test_seconds_of_shards_are_added_up() -> None:
    artifacts.write_json(artifacts.timing_file("gate-dit", None), {"stage": "gate-dit", "shard": None, "seconds": 0.5})
    seconds = read_summary().seconds
    assert (seconds["shards"], seconds["dit"], seconds["gate-dit"]) == (3.0, 65.0, 0.5)


def test_a_nightly_run_is_no_part_of_the_pipelines_time() -> None:
    before = read_summary().seconds
    artifacts.write_json(artifacts.timing_file("nightly", None), {"stage": "nightly", "shard": None, "seconds": 100.0})
    assert read_summary().seconds == before


def test_speeds_of_a_training_are_medians_and_name_what_was_measured() -> None:
    assert training_speed("dit", 3) == ""
    record("dit", 0, {})
    for step, rate in enumerate((10.0, 11_432.0, 12_000.0)):
        record("dit", step + 1, {"images_per_second": rate, "data_wait": 0.005, "tflops": 166.6, "mfu": 0.168})
    expected = "11 432 images/s, 167 TFLOP/s, 17% of the card's peak, 0.5% of the time waiting for data"
    with artifacts.throughput_file("dit").open("a") as file:
        file.write('{"step": 4, "ima')
    assert training_speed("dit", 3) == expected
    assert training_speed("dit", 4) == ""  # made elsewhere


def test_speeds_of_a_training_that_went_on_elsewhere_are_those_of_its_last_row() -> None:
    record("dit", 0, {})
    record("dit", 1, {"images_per_second": 10.0, "tflops": 2.0})
    record("dit", 2, {"images_per_second": 30.0})
    assert training_speed("dit", 2) == "20 images/s"


def test_a_summary_has_the_speeds_of_the_trainings_that_ran_here() -> None:
    steps = artifacts.read_json(artifacts.summary_file("dit"))["steps"]
    for stage, last in (("dit", steps), ("tokenizer", -1)):  # the second is of another training
        record(stage, 0, {})
        record(stage, last, {"images_per_second": 30.0})
    assert read_summary().as_json()["images_per_second"] == {"dit": 30.0}


def test_a_missing_evaluation_is_a_sentence() -> None:
    artifacts.record_file("probe").unlink()
    with user_error(r"data/probe/record\.json is missing.*dvc repro"):
        read_summary()


def test_metrics_are_written_for_people() -> None:
    assert METRICS["psnr"].text(27.456) == "27.46 dB"
    assert METRICS["sample_accuracy"].text(0.967) == "96.7%"


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.5, "9.5 s"), (125, "2 min 05 s"), (119.7, "2 min 00 s"), (12_000, "3 h 20 min")]
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
