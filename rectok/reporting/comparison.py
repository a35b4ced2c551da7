"""The metrics of a run beside those of the promoted generator, of the previous run, and of a publication. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rectok.artifacts import promotion_records, read_json, runs_file, write_json
from rectok.evaluation.metrics import Metric, column_metric, numbers
from rectok.reporting.summary import Summary

KEPT = 20
"""Runs whose metrics are kept for comparison."""


@dataclass(frozen=True)
class Measured:
    """The metrics of one run by column (`probe@0.5`), its day and commit, and the fingerprint of each evaluation's protocol."""

    day: str
    commit: str
    fingerprints: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Reference:
    """Metrics to compare a run with. `measured` is None for published ones, which are shown for whatever they are worth."""

    title: str
    note: str
    metrics: Mapping[str, float]
    measured: Measured | None = None


@dataclass(frozen=True)
class Delta:
    """A value beside its reference as people read them; `better` is None where they are equal or not comparable."""

    title: str
    reference: str
    difference: str = ""
    better: bool | None = None


PUBLISHED = {
    "imagenet256": Reference(
        "published",
        "RecTok (arXiv 2512.13421) at 256 pixels, 600 epochs; guided by AutoGuidance; Inception's metrics",
        {
            "psnr": 26.16, "rfid": 0.48, "gfid": 1.34, "inception_score": 254.6, "gfid_guided": 1.13,
            "inception_score_guided": 289.2,
        },
    ),
    "cifar10": Reference(
        "published",
        "docs/results/cifar10.md, measured with a proxy of its own",
        {
            "psnr": 27.95, "rfid": 0.33, "gfid": 10.82, "gfid_guided": 2.70, "sample_accuracy": 0.423,
            "sample_accuracy_guided": 0.842,
        },
    ),
    "digits": Reference(
        "published",
        "docs/results/digits.md, measured with a proxy of the same recipe",
        {
            "psnr": 27.2, "rfid": 0.12, "gfid": 0.29, "gfid_guided": 0.30, "gfid_floor": 0.13, "sample_accuracy": 0.964,
            "sample_accuracy_guided": 0.998, "metric_network_accuracy": 0.997,
        },
    ),
}  # fmt: skip
"""By preset."""


def measured_now(summary: Summary, commit: str) -> Measured:
    """This run."""
    return Measured(datetime.now(UTC).date().isoformat(), commit, summary.fingerprints, numbers(summary.metrics))


def references(run: Measured, preset: str) -> list[Reference]:
    """What `run` is compared with: the promoted generator, the last run with other metrics, and the preset's publication."""
    chosen = [_promoted(), _previous(run), PUBLISHED.get(preset)]
    return [reference for reference in chosen if reference is not None]


def remember(run: Measured) -> None:
    """Keep the metrics of `run` for the comparison of later ones, unless the last ones are the same."""
    runs = _runs()
    if not runs or runs[-1].metrics != run.metrics:
        write_json(runs_file(), [asdict(each) for each in [*runs, run][-KEPT:]])


def deltas(column: str, run: Measured, others: Sequence[Reference]) -> list[Delta]:
    """The metric of `column` beside each of the references. One that has no value for it has an empty text."""
    metric = column_metric(column)
    assert metric is not None
    return [_delta(column, metric, run, other) for other in others]


def _delta(column: str, metric: Metric, run: Measured, other: Reference) -> Delta:
    value, reference = run.metrics.get(column), other.metrics.get(column)
    if value is None or reference is None:
        return Delta(other.title, "")
    if other.measured is not None and not _comparable(metric, run, other.measured):
        return Delta(other.title, metric.text(reference), "measured differently")
    difference = metric.format.replace("{:", "{:+").format(value - reference)
    if not any(digit in difference for digit in "123456789"):
        return Delta(other.title, metric.text(reference), "the same")
    better = (value > reference) == (metric.better == "higher")
    published = other.measured is None
    return Delta(other.title, metric.text(reference), difference, None if published else better)


def _comparable(metric: Metric, run: Measured, other: Measured) -> bool:
    ours = run.fingerprints.get(metric.stage)
    return bool(ours) and ours == other.fingerprints.get(metric.stage)


def _promoted() -> Reference | None:
    paths = sorted(promotion_records().glob("*.json"))
    if not paths:
        return None
    record = read_json(paths[-1])
    day, metrics = record["time"][:10], numbers(record["metrics"])
    measured = Measured(day, record["commit"], record.get("fingerprints", {}), metrics)
    return Reference("baseline", f"promotion {record['number']} of {day}", measured.metrics, measured)


def _previous(run: Measured) -> Reference | None:
    earlier = [each for each in _runs() if each.metrics != run.metrics]
    if not earlier:
        return None
    last = earlier[-1]
    return Reference("previous run", f"{last.day}, commit {last.commit[:10]}", last.metrics, last)


def _runs() -> list[Measured]:
    return [Measured(**each) for each in read_json(runs_file(), list)] if runs_file().exists() else []
