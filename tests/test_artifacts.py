from pathlib import Path

import pytest

from rectok import artifacts
from rectok.artifacts import Check, GateReport, read_config, read_json, read_report, write_json, write_report
from rectok.nn.transformer_config import TransformerConfig
from tests.errors import user_error

pytestmark = pytest.mark.usefixtures("here")


def check(passed: bool, severity: artifacts.Severity = "ERROR") -> Check:
    return Check("psnr", passed, severity, 21.5, 24.0, "psnr is 21.5, but must be at least 24")


def test_a_report_goes_round() -> None:
    report = GateReport("shards", "00001", (check(True), check(False, "WARN")))
    write_report(report)
    assert read_report(artifacts.check_file("shards", "00001")) == report


@pytest.mark.parametrize("shard", [None, "00001"])
def test_a_verdict_is_there_only_while_the_gate_passes(shard: str | None) -> None:
    for passed in (True, False, True):
        write_report(GateReport("shards", shard, (check(passed),)))
        assert artifacts.passed_file("shards", shard).exists() == passed
        assert read_json(artifacts.check_file("shards", shard))["passed"] == passed


def test_a_warning_does_not_stop() -> None:
    report = GateReport("dit", None, (check(False, "WARN"),))
    assert report.passed and report.errors == ()
    assert not GateReport("dit", None, (check(True), check(False))).passed


def test_verdicts_do_not_tell_figures_apart() -> None:
    verdicts = set()
    for value in (1.0, 2.0):
        write_report(GateReport("dit", None, (Check("x", True, "ERROR", value, 0.0, ""),)))
        verdicts.add(artifacts.passed_file("dit").read_bytes())
    assert len(verdicts) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_numbers_only(value: float) -> None:
    write_json(Path("a.json"), {"b": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(Path("a.json"), {"b": value})
    assert read_json(Path("a.json")) == {"b": 1}


def test_a_config_goes_round_and_a_wrong_one_is_named() -> None:
    config = TransformerConfig(width=16, depth=1, heads=2)
    write_json(Path("c.json"), config.model_dump())
    assert read_config(Path("c.json"), TransformerConfig) == config
    write_json(Path("c.json"), {"width": 16, "depth": "one", "heads": 2})
    with user_error(r"^c\.json is damaged: depth is 'one', but must be a valid integer"):
        read_config(Path("c.json"), TransformerConfig)
    write_json(Path("c.json"), {"width": 16, "depth": 1, "heads": 3})
    with user_error(r"^c\.json is damaged: width 16 with 3 heads does not fit: the 2-D rotary embedding needs"):
        read_config(Path("c.json"), TransformerConfig)


def test_a_report_of_an_earlier_version_is_read() -> None:
    write_report(GateReport("dit", None, (check(True),)))
    path = artifacts.check_file("dit")
    record = read_json(path)
    for each in record["checks"]:
        del each["relation"]
    write_json(path, record)
    assert read_report(path).checks == (check(True),)


def test_a_copy_of_the_outputs_is_laid_out_alike() -> None:
    assert artifacts.within(Path("copies/1"), artifacts.summary_file("dit")) == Path("copies/1/dit/summary.json")
