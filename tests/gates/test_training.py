from pathlib import Path

import pytest
import torch

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.networks import MIN_ADVERSARY, training_checks
from rectok.nn.weights import save_weights
from rectok.params import parse, preset_text
from rectok.params.editing import changed
from rectok.storage.hashing import sha256_file
from rectok.trainers.stage import Row, write_log

PARAMS = parse(preset_text("digits"), "digits")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(rows: list[Row]) -> dict[str, Check]:
    """The checks of a decoder that left `rows` as its log."""
    save_weights(artifacts.weights_file("decoder"), {"w": torch.ones(2)})
    artifacts.write_json(artifacts.params_file("decoder"), PARAMS.decoder.model_dump())
    write_log(artifacts.log_file("decoder"), rows)
    digest = sha256_file(artifacts.weights_file("decoder"))
    artifacts.write_json(
        artifacts.summary_file("decoder"), {"trained": True, "loss_ratio": 0.5, "ema_distance": 0.1, "sha256": digest}
    )
    return {check.name: check for check in training_checks("decoder", PARAMS, 1.0)}


def log(adversary: list[float]) -> list[Row]:
    return [{"step": step, "total": 1.0, "adversary": loss} for step, loss in enumerate(adversary)]


def test_an_adversary_that_has_won_is_a_warning_that_says_what_to_lower() -> None:
    found = checked(log([1.0] * 18 + [0.002, 0.004]))["adversary"]
    assert not found.passed and found.severity == "WARN" and found.value == pytest.approx(0.003)
    assert found.message == (
        "the adversary's loss at the end (it has won; look for patterns, or lower decoder.losses.adversary.weight) is 0.003, "
        "but must be ≥ 0.01"
    )


def test_an_adversary_that_won_for_a_while_is_none() -> None:
    assert checked(log([0.0] * 18 + [2 * MIN_ADVERSARY, MIN_ADVERSARY]))["adversary"].passed


def test_without_an_adversary_nothing_is_asked_of_one() -> None:
    assert set(checked([{"step": 1, "total": 1.0}])) == {
        "loss finite",
        "loss falls",
        "ema differs",
        "weights whole",
        "params",
    }


def test_a_log_with_a_value_that_is_not_finite_is_an_error() -> None:
    found = checked([{"step": 1, "total": 1.0}, {"step": 2, "total": float("nan")}])["loss finite"]
    assert not found.passed and found.severity == "ERROR"


def test_parameters_that_changed_while_it_trained_are_an_error_that_says_what_to_repeat() -> None:
    checked(log([1.0]))
    other = changed(PARAMS, {"decoder.training.epochs": 1})
    [found] = [check for check in training_checks("decoder", other, 1.0) if check.name == "params"]
    assert not found.passed and found.severity == "ERROR"
    assert found.message == "params.yaml changed while decoder ran; repeat it with `rectok repair decoder`"
