"""Metrics and durations as people read them. No torch here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rectok.evaluation.metrics import METRICS, column_metric, points


@dataclass(frozen=True)
class MetricRow:
    """A metric as a row of a table: title, value, which values are better, and the network that computed it."""

    title: str
    value: str
    better: str
    network: str


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
            rows.append(MetricRow(metric.title, metric.text(value), metric.better, networks[name]))
    return rows


def duration(seconds: float) -> str:
    """Seconds for people: 9.5 s, 2 min 05 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"
