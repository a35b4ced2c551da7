"""The table of metrics: one entry is all that a metric needs, and nothing that is forgotten goes unnoticed."""

from math import inf
from pathlib import Path
from typing import Any

import pytest

from rectok import artifacts
from rectok.ablation.table import heading
from rectok.artifacts import Check
from rectok.evaluation.metrics import METRICS, Metric, Tolerance, headline_names, metrics_of, nightly_metrics, record_of
from rectok.gates import generation
from rectok.nightly.history import HISTORY, NightlyRun, read_history, write_history
from rectok.nightly.page import render as nightly_page
from rectok.nightly.regression import baseline, comparisons, limits_of
from rectok.nn import weights
from rectok.params import Params
from rectok.params.schema import NightlyParams
from rectok.reporting.comparison import measured_now
from rectok.reporting.report import render
from rectok.reporting.summary import metric_rows, read_summary
from rectok.stages import generation as generation_stage
from rectok.stages import reconstruction
from tests.evaluation import project
from tests.nightly.test_history import nightly_run

VENDI = Metric(
    "Vendi Score",
    "{:.1f}",
    "higher",
    (1, inf),
    "generation",
    headline=True,
    tolerance=Tolerance("accuracy_tolerance", False),
)


def report() -> str:
    return render("digits", "", measured_now(read_summary(), ""))


@pytest.fixture
def params(here: Path) -> Params:
    project.build_results()
    return project.params()


def measure(value: float | None) -> None:
    """Give the record of the stage a Vendi Score."""
    path = artifacts.record_file("generation")
    record = artifacts.read_json(path)
    record["metrics"]["vendi"], record["networks"]["vendi"] = value, "a network"
    artifacts.write_json(path, record)


def broken(params: Params) -> dict[str, Check]:
    return {check.name: check for check in generation.check(params) if not check.passed}


def test_a_metric_that_the_table_lacks_or_a_stage_forgets_is_an_error(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics: dict[str, Any] = dict.fromkeys(metrics_of("generation"), 1.0)
    with pytest.raises(
        ValueError, match=r"generation wrote metrics that METRICS lacks: \['vendi'\], and .* write: \[\]"
    ):
        record_of("generation", metrics | {"vendi": 1.0}, {})
    measure(1.0)
    assert broken(params)["schema"].message == "metric vendi is unknown"
    monkeypatch.setitem(METRICS, "vendi", VENDI)
    with pytest.raises(ValueError, match=r"METRICS lacks: \[\], and did not write: \['vendi'\]"):
        record_of("generation", metrics, {})
    assert broken(params) == {}


def test_an_entry_gives_a_metric_its_gate_and_its_place_on_every_page(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "vendi", VENDI)
    assert broken(params)["schema"].message == "metric vendi is missing"
    measure(-5.0)
    assert broken(params)["schema"].message == "vendi is -5.0, but must be at least 1"
    measure(None)
    assert "vendi" in broken(params)["schema"].message
    measure(7.25)
    assert broken(params) == {}
    summary = read_summary()
    assert summary.as_json()["vendi"] == 7.25
    [row] = [row for row in metric_rows(summary.metrics, summary.networks) if row.title == "Vendi Score"]
    assert (row.value, row.better, row.network) == ("7.2", "higher", "a network")
    assert report().count("Vendi Score") == 2  # among the headlines and in the table
    assert "vendi" in headline_names() and heading("vendi") == "Vendi Score"


def night(day: int, vendi: float | None) -> NightlyRun:
    earlier = nightly_run(day)
    return NightlyRun(earlier.date, "aaaa", "p", 500, {**earlier.metrics, "vendi": vendi}, earlier.noise)


def test_an_entry_gives_a_metric_its_column_its_chart_and_its_regression(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_history([nightly_run(1)])
    assert "vendi" not in HISTORY.read_text()
    monkeypatch.setitem(METRICS, "vendi", VENDI)
    [old] = read_history()
    assert (old.metrics["vendi"], old.noise["vendi"]) == (None, None)  # older than the metric
    write_history([old, night(2, 7.0)])
    assert read_history()[-1].metrics["vendi"] == 7.0
    history, limits = read_history(), limits_of(params.nightly)
    for value, regressed in ((9.0, False), (6.0, True)):  # higher is better
        run = night(3, value)
        compared = comparisons(run, baseline(history, run, "aaaa", None, limits), limits)
        [vendi] = [comparison for comparison in compared if comparison.metric == "vendi"]
        assert (vendi.regressed, vendi.measurements) == (regressed, 1)
        page = nightly_page([*history, run], run, compared, None)
        assert "<h4>Vendi Score</h4>" in page and "<th>Vendi Score</th>" in page
        assert ("Vendi Score is 6.0, below 7.0" in page) is regressed


def test_kid_is_shown(params: Params) -> None:
    rows = {row.title: row.value for row in metric_rows(read_summary().metrics, read_summary().networks)}
    assert (rows["KID"], rows["KID, guided"]) == ("0.01000", "0.01000")
    assert "KID, guided" in report()


def test_every_tolerance_is_a_parameter_and_every_entry_can_be_written() -> None:
    tolerances = {metric.tolerance.name for metric in nightly_metrics().values() if metric.tolerance}
    assert tolerances == {name for name in NightlyParams.model_fields if name.endswith("_tolerance")}
    for metric in METRICS.values():
        low, high = metric.bounds
        assert low < high and metric.text(low) and metric.text(None) == "—"


@pytest.mark.parametrize("stage", ["reconstruction", "generation"])
def test_the_metric_network_is_read_once(stage: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = project.build()
    paths: list[Path] = []
    real = weights.load_file

    def load_file(path: Path) -> object:
        paths.append(path)
        return real(path)

    monkeypatch.setattr(weights, "load_file", load_file)
    {"reconstruction": reconstruction, "generation": generation_stage}[stage].run(built)
    assert paths.count(artifacts.weights_file("metric_network")) == 1
