"""What a run is compared with, and when it is not."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from rectok import artifacts
from rectok.evaluation.metrics import METRICS
from rectok.reporting.comparison import KEPT, PUBLISHED, Measured, Reference, deltas, measured_now, references, remember
from rectok.reporting.summary import Summary

PRINTS = {"generation": "aaaa", "reconstruction": "bbbb"}
RUN = Measured("2026-01-02", "abc", PRINTS, {"psnr": 27.5, "gfid": 8.0})
PAGES = Path(__file__).parents[2] / "docs" / "results"
pytestmark = pytest.mark.usefixtures("here")


def earlier(**changes: object) -> Reference:
    measured = replace(RUN, **changes)  # type: ignore[arg-type]
    return Reference("previous run", "", measured.metrics, measured)


def test_a_difference_says_whether_it_is_better() -> None:
    past = earlier(metrics={"psnr": 27.0, "gfid": 7.5})
    (psnr,), (gfid,) = deltas("psnr", RUN, [past]), deltas("gfid", RUN, [past])
    assert (psnr.reference, psnr.difference, psnr.better) == ("27.00 dB", "+0.50 dB", True)
    assert (gfid.reference, gfid.difference, gfid.better) == ("7.500", "+0.500", False)
    assert deltas("gfid", RUN, [earlier(metrics={"gfid": 8.00001})])[0].difference == "the same"
    assert deltas("kid", RUN, [past])[0].reference == ""


@pytest.mark.parametrize("fingerprints", [{**PRINTS, "generation": "cccc"}, {"reconstruction": "bbbb"}, {}])
def test_what_was_measured_differently_has_no_difference(fingerprints: dict[str, str]) -> None:
    delta = deltas("gfid", RUN, [earlier(fingerprints=fingerprints, metrics={"gfid": 7.5})])[0]
    assert (delta.reference, delta.difference, delta.better) == ("7.500", "measured differently", None)


def test_without_fingerprints_nothing_compares() -> None:
    assert (
        deltas("gfid", replace(RUN, fingerprints={}), [earlier(fingerprints={})])[0].difference
        == "measured differently"
    )


def test_the_previous_run_is_the_last_one_with_other_metrics() -> None:
    assert references(RUN, "") == []
    runs = [replace(RUN, metrics={"psnr": float(place)}) for place in range(KEPT + 2)]
    for run in [*runs, runs[-1]]:
        remember(run)
    assert references(runs[-1], "")[0].metrics == {"psnr": KEPT}
    assert len(artifacts.read_json(artifacts.runs_file(), list)) == KEPT


def test_the_baseline_is_the_newest_promotion() -> None:
    run = measured_now(Summary({"psnr": 27.5}, {}, {"reconstruction": {"fingerprint": "bbbb"}}, {}, {}), "abc")
    record = {
        "time": "2026-01-01T10:00:00+00:00", "commit": "0123", "metrics": {"psnr": 27.0},
        "fingerprints": {"reconstruction": "bbbb"},
    }  # fmt: skip
    for number in (1, 2):
        artifacts.write_json(artifacts.promotion_records() / f"{number:04d}.json", {**record, "number": number})
    (baseline,) = references(run, "")
    assert (baseline.title, baseline.note) == ("baseline", "promotion 2 of 2026-01-01")
    assert deltas("psnr", run, [baseline])[0].better


@pytest.mark.parametrize("preset", ["digits", "cifar10"])
def test_published_metrics_stand_in_the_documentation(preset: str) -> None:
    numbers = {
        float(number) for number in re.findall(r"\d+(?:\.\d+)?", (PAGES / f"{preset}.md").read_text(encoding="utf-8"))
    }
    for name, value in PUBLISHED[preset].metrics.items():
        assert {round(value, 3), round(100 * value, 1)} & numbers, f"{name} {value} is not in docs/results/{preset}.md"


def test_published_metrics_are_metrics() -> None:
    assert all(reference.metrics.keys() <= METRICS.keys() for reference in PUBLISHED.values())
