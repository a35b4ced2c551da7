from pathlib import Path
from typing import Any

import pytest

from rectok import artifacts
from rectok.gates import metric_network as metric_network
from rectok.gates import teacher
from rectok.params import Params
from rectok.storage.hashing import sha256_file
from rectok.teacher.loading import save_network
from tests.teacher.networks import network
from tests.teacher.project import params


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def keep(stage: str, of: Params, expected: str = "", **changed: Any) -> None:
    """A network with a summary as the stage leaves it."""
    config = getattr(of, stage).network.model_copy(update={"sha256": expected})
    save_network(artifacts.stage_dir(stage), network(config, 3), {})
    figures = {"trained_here": True, "proxy": "proxy", "val_accuracy": 0.97, "test_accuracy": 0.96}
    digest = sha256_file(artifacts.weights_file(stage))
    record = {"network": config.name, "licence": "", "sha256": digest, **figures, **changed}
    artifacts.write_json(artifacts.summary_file(stage), record)


def failed(stage: str, of: Params) -> dict[str, str]:
    checks = {"teacher": teacher, "metric_network": metric_network}[stage].check(of)
    return {c.name: c.message for c in checks if not c.passed}


@pytest.mark.parametrize("stage", ["teacher", "metric_network"])
def test_a_good_network_passes_at_the_limit(stage: str) -> None:
    of = params(**{f"gates__{stage}__min_accuracy": 0.96})
    keep(stage, of)
    assert failed(stage, of) == {}


@pytest.mark.parametrize("stage", ["teacher", "metric_network"])
def test_an_accuracy_below_the_limit_is_an_error(stage: str) -> None:
    of = params(**{f"gates__{stage}__min_accuracy": 0.965})
    keep(stage, of)
    message = f"accuracy of the {stage} on the test split is 0.96, but must be ≥ 0.965"
    assert failed(stage, of) == {"test accuracy": message}


def test_each_gate_has_its_own_limit() -> None:
    of = params(gates__teacher__min_accuracy=0.5, gates__metric_network__min_accuracy=0.99)
    keep("teacher", of)
    keep("metric_network", of)
    assert failed("teacher", of) == {}
    assert set(failed("metric_network", of)) == {"val accuracy", "test accuracy"}


def test_a_network_trained_without_held_out_images_is_an_error() -> None:
    keep("teacher", params(), val_accuracy=None, test_accuracy=None)
    assert list(failed("teacher", params())) == ["held-out images"]


FROM_ELSEWHERE = {"trained_here": False, "val_accuracy": None, "test_accuracy": None}
AS_TIMM_RECORDS = {"mean": "auto", "std": "auto", "image_size": 176}


def test_a_network_from_elsewhere_needs_no_accuracy() -> None:
    of = params(**{f"teacher__network__{name}": value for name, value in AS_TIMM_RECORDS.items()})
    keep("teacher", of, **FROM_ELSEWHERE)
    assert failed("teacher", of) == {}


def test_images_that_are_prepared_otherwise_than_timm_records_are_a_warning() -> None:
    keep("teacher", params(), **FROM_ELSEWHERE)
    assert failed("teacher", params()) == {
        "mean": "mean of teacher.network is [0.5, 0.5, 0.5], but timm records [0.485, 0.456, 0.406] for resnet10t",
        "std": "std of teacher.network is [0.5, 0.5, 0.5], but timm records [0.229, 0.224, 0.225] for resnet10t",
        "image_size": "image_size of teacher.network is 16, but timm records 176 or 224 for resnet10t",
    }
    checks = {check.name: check for check in teacher.check(params())}
    assert (checks["mean"].severity, checks["mean"].value) == ("WARN", "[0.5, 0.5, 0.5]")
    assert checks["interpolation"].passed and checks["interpolation"].limit == "bicubic"


def test_the_metric_network_is_compared_too() -> None:
    keep("metric_network", params(), **FROM_ELSEWHERE)
    assert set(failed("metric_network", params())) == {"mean", "std", "image_size"}


def test_a_network_trained_here_has_the_preprocessing_that_it_was_trained_with() -> None:
    keep("teacher", params())
    assert "mean" not in {check.name for check in teacher.check(params())}


def test_changed_weights_are_an_error() -> None:
    keep("metric_network", params())
    path = artifacts.weights_file("metric_network")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert failed("metric_network", params()) == {"weights whole": f"{path} is not the file that was written"}


def test_weights_must_be_those_that_were_asked_for() -> None:
    keep("metric_network", params(), expected="A" * 64)
    digest = sha256_file(artifacts.weights_file("metric_network"))
    assert failed("metric_network", params()) == {
        "sha256": f"{artifacts.weights_file('metric_network')} has sha256 {digest}, but {'a' * 64} was expected"
    }
    keep("metric_network", params(), expected=digest.upper())
    assert failed("metric_network", params()) == {}
