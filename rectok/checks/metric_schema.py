"""The record of an evaluation against the table of metrics. No pandas here: its import takes longer than the check."""

from collections.abc import Generator, Iterator, Mapping
from math import isfinite
from typing import Any

from rectok.artifacts import Check
from rectok.checks.bounds import holds, listed
from rectok.evaluation.metrics import Metric, Record, metrics_of


def record_checks(stage: str, record: Record) -> Generator[Check, None, bool]:
    """All metrics of `stage` and no others, each possible and with its network; returns whether thresholds can follow."""
    faults = list(_faults(metrics_of(stage), record.metrics))
    yield holds("schema", not faults, listed(faults))
    yield holds("networks", record.networks.keys() == record.metrics.keys(), "a metric lacks the name of its network")
    return not faults


def _faults(table: Mapping[str, Metric], metrics: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each metric that is missing, unknown or impossible."""
    yield from (f"metric {name} is unknown" for name in metrics if name not in table)
    for name, metric in table.items():
        value = metrics.get(name)
        if name not in metrics and not metric.by_space:
            yield f"metric {name} is missing"
        elif value is not None and metric.curve:
            yield from _curve_faults(name, metric, value)
        elif value is not None and metric.by_space:
            for space, number in value.items():
                yield from _bounds_faults(f"{name}@{space}", number, *metric.bounds)
        elif not (value is None and (metric.absent or metric.by_space)):
            yield from _bounds_faults(name, value, *metric.bounds)


def _curve_faults(name: str, metric: Metric, curve: list[dict[str, Any]]) -> Iterator[str]:
    """Of a list of {t, accuracy}, with 0 ≤ t < 1 and no t twice."""
    times = [point["t"] for point in curve]
    if not times or len(set(times)) < len(times) or not all(_is_number(time) and 0 <= time < 1 for time in times):
        yield f"{name} has the times {times}, but they must be different numbers from 0 to below 1"
    for point in curve:
        yield from _bounds_faults(f"{name}@{point['t']}", point["accuracy"], *metric.bounds)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _bounds_faults(name: str, value: Any, low: float, high: float) -> Iterator[str]:
    if not (_is_number(value) and low <= value <= high):
        limits = f"from {low:g} to {high:g}" if isfinite(high) else f"at least {low:g}"
        yield f"{name} is {value!r}, but must be {limits}"
