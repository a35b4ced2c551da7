"""A failed gate names the key to turn, a likely value, the rows and the page."""

import pytest

from rectok.artifacts import SHARDED, STAGES
from rectok.checks.advice import PAGE, ROWS, accepted, advice, threshold
from rectok.checks.bounds import at_least, at_most, holds
from rectok.reporting.check_catalogue import CHECKS
from tests.guides.guide import REPOSITORY
from tests.project import tiny

PARAMS = tiny()


def test_a_weak_network_is_trained_longer_or_accepted() -> None:
    epochs = PARAMS.tokenizer.training.epochs
    failed = [at_least("psnr", 21.4567, 24, "PSNR"), holds("params", False, "they changed")]
    assert advice("tokenizer", None, failed, PARAMS) == (
        f"train longer, as with tokenizer.training.epochs {2 * epochs:g} (now {epochs:g}) or "
        "accept it with gates.tokenizer.min_psnr 21.4; see data/tokenizer/log.csv, and docs/gates.md#tokenizer"
    )
    loss = [at_least("psnr gain", -1.234, -0.5, "PSNR after minus before")]
    assert "accept it with gates.decoder.max_psnr_loss 1.24;" in advice("decoder", None, loss, PARAMS)


def test_a_limit_that_is_no_parameter_is_not_advised() -> None:
    text = advice("shards", "00001", [holds("layout", False, "no tar")], PARAMS)
    assert text == "see data/shards/00001.quarantine.json, and docs/gates.md#shards"


@pytest.mark.parametrize(
    ("value", "at_least_limit", "at_most_limit"),
    [(0.12345, 0.123, 0.124), (1234.5, 1230, 1240), (-1.234, -1.24, -1.23)],
)
def test_the_advised_limit_would_be_met(value: float, at_least_limit: float, at_most_limit: float) -> None:
    assert accepted(at_least("x", value, 9e9, "x")) == at_least_limit <= value
    assert accepted(at_most("x", value, -9e9, "x")) == at_most_limit >= value


def test_every_gate_has_limits_that_exist_a_file_and_a_heading() -> None:
    page = (REPOSITORY / PAGE).read_text(encoding="utf-8")
    assert set(CHECKS) == set(ROWS) == set(STAGES)
    for gate, kinds in CHECKS.items():
        assert f"\n## {gate}\n" in page
        assert ("{shard}" in ROWS[gate]) == (gate in SHARDED)
        for kind in kinds:
            assert not kind.threshold or hasattr(getattr(PARAMS.gates, gate), kind.threshold)
    assert threshold("probe", "accuracy at t = 0.5") == "gates.probe.min_accuracy"
