"""The metrics of the whole pipeline, gathered from the evaluation stages, as people read them. No torch here."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rectok.artifacts import (
    DATA,
    RATE,
    STAGES,
    TRAININGS,
    UNLABELLED,
    read_json,
    record_file,
    summary_file,
    throughput_file,
)
from rectok.errors import DamagedError, UserError
from rectok.evaluation.fingerprint import FINGERPRINT
from rectok.evaluation.metrics import METRICS, Metric, column_metric, points, read_record
from rectok.json_records import parse_json

EVALUATIONS = ("reconstruction", "probe", "generation")
SPEED_WORDS = {
    "tflops": "{:.3g} TFLOP/s",
    "mfu": "{:.0%} of the card's peak",
    "memory_gib": "{:.3g} GiB",
    "data_wait": "{:.1%} of the time waiting for data",
}
"""How the figures of a training's speed are written for people."""


@dataclass(frozen=True)
class MetricRow:
    """A metric as a row of a table: its column in METRICS (`probe@0.5` for a point of a curve), title, value, which values are
    better, and the network that computed it."""

    title: str
    value: str
    better: str
    network: str
    column: str = ""


def metric_rows(
    metrics: Mapping[str, Any], networks: Mapping[str, str], names: Iterable[str] | None = None
) -> list[MetricRow]:
    """Those of `names` that are among `metrics`, by default all that people are shown; `networks` has the same keys.

    A curve has a row for each of its points.
    """
    chosen = [name for name, metric in METRICS.items() if metric.shown] if names is None else names
    rows = []
    for name in chosen:
        for column, value in points({name: metrics[name]} if name in metrics else {}).items():
            metric = column_metric(column)
            assert metric is not None
            text = _text(metric, value, networks[name])
            rows.append(MetricRow(metric.title, text, metric.better, networks[name], column))
    return rows


def _text(metric: Metric, value: Any, network: str) -> str:
    return UNLABELLED if network == UNLABELLED else metric.text(value)


def duration(seconds: float) -> str:
    """Seconds for people: 9.5 s, 2 min 05 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


@dataclass(frozen=True)
class Summary:
    """Metrics with the network that computed each, a protocol per stage, how many seconds each stage took, and the images/s of
    each training that ran here."""

    metrics: dict[str, Any]
    networks: dict[str, str]
    protocol: dict[str, dict[str, str | int | float]]
    seconds: dict[str, float]
    images_per_second: dict[str, float]

    @property
    def fingerprints(self) -> dict[str, str]:
        """By evaluation stage: metrics of different fingerprints do not compare. Empty in a record of an earlier version."""
        return {stage: str(items.get(FINGERPRINT, "")) for stage, items in self.protocol.items()}

    def as_json(self) -> dict[str, Any]:
        """One flat record: metrics by name, beside networks, protocol, seconds and speeds."""
        rest = asdict(self)
        return {**rest.pop("metrics"), **rest}


def made(stages: Iterable[str] = EVALUATIONS) -> list[str]:
    """Those of the evaluation `stages` that have left a record."""
    return [stage for stage in stages if record_file(stage).exists()]


def read_summary(stages: Iterable[str] = EVALUATIONS) -> Summary:
    """Gather the records of the evaluation `stages`. Raises UserError naming the first that is missing."""
    summary = Summary({}, {}, {}, stage_seconds(), training_rates())
    for stage in stages:
        if not record_file(stage).exists():
            raise UserError(f"{record_file(stage)} is missing, so there is nothing to sum up; `dvc repro` makes it")
        record = read_record(stage)
        summary.metrics.update(record.metrics)
        summary.networks.update(record.networks)
        summary.protocol[stage] = dict(record.protocol)
    return summary


def stage_seconds() -> dict[str, float]:
    """Seconds that the last run of each stage (`gate-…` for its gate) took here, shards summed, by name."""
    seconds: dict[str, float] = {}
    for path in sorted((DATA / "timings").glob("*.json")):
        timing = read_json(path)
        if timing["stage"].removeprefix("gate-") not in STAGES:  # a nightly run
            continue
        seconds[timing["stage"]] = round(seconds.get(timing["stage"], 0.0) + timing["seconds"], 2)
    return seconds


def training_rates() -> dict[str, float]:
    """The median images/s of each training whose network was made here."""
    steps = {
        stage: read_json(summary_file(stage)).get("steps", 0) for stage in TRAININGS if summary_file(stage).exists()
    }
    speeds = {stage: _medians(stage, count) for stage, count in steps.items()}
    return {stage: figures[RATE] for stage, figures in speeds.items() if figures}


def training_speed(stage: str, steps: int) -> str:
    """The medians of the training of `stage` that ended here after `steps`, in words; empty where it ran elsewhere."""
    figures = _medians(stage, steps)
    if not figures:
        return ""
    words = [text.format(figures[name]) for name, text in SPEED_WORDS.items() if name in figures]
    rate = figures[RATE]
    return ", ".join([f"{rate:,.0f} images/s".replace(",", " ") if rate >= 100 else f"{rate:.3g} images/s", *words])


def _medians(stage: str, steps: int) -> dict[str, float]:
    rows = list(_throughput(throughput_file(stage)))
    if not rows or rows[-1]["step"] != steps:
        return {}
    return {name: median(row[name] for row in rows if name in row) for name in rows[-1]}


def _throughput(file: Path) -> Iterator[dict[str, float]]:
    """Its whole lines; the last one may lack its end after a kill."""
    for line in file.read_bytes().splitlines() if file.exists() else ():
        with suppress(DamagedError):
            yield parse_json(line, str(file))
