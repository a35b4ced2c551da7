from pathlib import Path
from typing import Any

import pytest

from rectok import artifacts
from rectok.artifacts import Check
from rectok.errors import UserError
from rectok.gates import generation, probe, reconstruction
from rectok.params import Params
from tests.evaluation import project

GATES = {"reconstruction": reconstruction, "probe": probe, "generation": generation}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    project.build_evaluation()
    return project.params()


def failed(stage: str, params: Params) -> dict[str, Check]:
    return {check.name: check for check in GATES[stage].check(params) if not check.passed}


def change(stage: str, **changes: Any) -> None:
    path = artifacts.record_file(stage)
    record = artifacts.read_json(path)
    artifacts.write_json(path, record | {"metrics": record["metrics"] | changes})


@pytest.mark.parametrize("stage", GATES)
def test_good_figures_pass(stage: str, params: Params) -> None:
    assert failed(stage, params) == {}


@pytest.mark.parametrize(
    ("stage", "changes", "check"),
    [
        ("reconstruction", {"psnr": 10.0}, "psnr"),
        ("reconstruction", {"rfid": 1e6}, "rfid"),
        ("generation", {"gfid": 1e6}, "gfid"),
        ("generation", {"sample_accuracy": 0.2}, "sample accuracy"),
        ("generation", {"sample_accuracy_guided": 0.2}, "sample accuracy guided"),
        ("probe", {"probe": [{"t": 0.5, "accuracy": 0.1}]}, "accuracy at t = 0.5"),
    ],
)
def test_a_figure_beyond_its_threshold_fails(stage: str, changes: dict[str, Any], check: str, params: Params) -> None:
    change(stage, **changes)
    assert failed(stage, params).keys() == {check}


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("reconstruction", {"lpips": -0.5}, "lpips is -0.5, but must be at least 0"),
        ("reconstruction", {"ssim": 1.5}, "ssim is 1.5, but must be from -1 to 1"),
        ("generation", {"recall_guided": -0.1, "gfid": -1.0}, "gfid is -1.0"),
        ("probe", {"probe": [{"t": 0.5, "accuracy": 0.9}, {"t": 1.0, "accuracy": 1.2}]}, "probe@1.0 is 1.2"),
        (
            "probe",
            {"probe": [{"t": 0.5, "accuracy": 0.9}, {"t": 1.0, "accuracy": 0.9}]},
            "probe has the times [0.5, 1.0]",
        ),
        ("probe", {"probe": [{"t": 0.5, "accuracy": 0.9}] * 2}, "different numbers from 0 to below 1"),
        ("probe", {"probe": [{"t": "0.5", "accuracy": True}]}, "probe@0.5 is True, but must be from 0 to 1"),
        ("generation", {"fd": {"dinov2": -2.0}}, "fd@dinov2 is -2.0, but must be at least 0"),
        ("generation", {"gfid": "low"}, "gfid is 'low'"),
        ("generation", {"gfid": None}, "gfid is None"),
    ],
)
def test_impossible_figures_break_the_schema(stage: str, changes: dict[str, Any], message: str, params: Params) -> None:
    change(stage, **changes)
    found = failed(stage, params)
    assert found.keys() == {"schema"}
    assert message in found["schema"].message


def test_lpips_may_be_absent_for_want_of_weights(params: Params) -> None:
    change("reconstruction", lpips=None)
    assert failed("reconstruction", params) == {}


def test_a_missing_figure_is_named(params: Params) -> None:
    path = artifacts.record_file("generation")
    record = artifacts.read_json(path)
    del record["metrics"]["recall"], record["networks"]["gfid"]
    artifacts.write_json(path, record)
    found = failed("generation", params)
    assert found["schema"].message == "metric recall is missing"
    change("generation", sharpness=1.0)
    assert failed("generation", params)["schema"].message == "metric sharpness is unknown; metric recall is missing"
    assert found["networks"].message


def test_the_gated_time_must_have_been_probed(params: Params) -> None:
    change("probe", probe=[{"t": 0.25, "accuracy": 0.9}])
    with pytest.raises(UserError, match=r"gates\.probe\.at is 0\.5, but probe\.times holds 0\.25"):
        failed("probe", params)
