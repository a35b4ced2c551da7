"""The record of an evaluation against the table of metrics."""

from collections.abc import Generator
from math import isfinite
from typing import Any

import pandas as pd
import pandera.pandas as pa

from rectok.artifacts import Check
from rectok.checks.bounds import holds
from rectok.checks.tables import fits
from rectok.evaluation.metrics import Metric, Record, metrics_of

TIME = pa.Column(float, pa.Check.in_range(0, 1, include_max=False), unique=True)


def record_checks(stage: str, record: Record) -> Generator[Check, None, bool]:
    """All metrics of `stage` and no others, each possible and with its network; returns whether thresholds can follow."""
    table = metrics_of(stage)
    curves = {name: metric for name, metric in table.items() if metric.curve}
    spaces = {name: metric for name, metric in table.items() if metric.by_space}
    single = {name: metric for name, metric in table.items() if not (metric.curve or metric.by_space)}
    numbers = {name: value for name, value in record.metrics.items() if name not in curves | spaces}
    columns = {name: pa.Column(float, _bounds(metric), nullable=bool(metric.absent)) for name, metric in single.items()}
    results = [_fits([numbers], columns)]
    for name, metric in curves.items():
        if metric.absent and record.metrics.get(name, ()) is None:
            continue
        results.append(_fits(record.metrics.get(name, ()), {"t": TIME, "accuracy": pa.Column(float, _bounds(metric))}))
    for name, metric in spaces.items():
        if values := record.metrics.get(name):
            results.append(_fits([values], {space: pa.Column(float, _bounds(metric)) for space in values}))
    broken = [check.message for check in results if not check.passed]
    yield holds("schema", not broken, "; ".join(broken))
    yield holds("networks", record.networks.keys() == record.metrics.keys(), "a metric lacks the name of its network")
    return not broken


def _fits(values: Any, columns: dict[str, pa.Column]) -> Check:
    return fits("schema", pd.DataFrame(values), pa.DataFrameSchema(columns, strict=True, coerce=True))


def _bounds(metric: Metric) -> pa.Check:
    low, high = metric.bounds
    return pa.Check.in_range(low, high) if isfinite(high) else pa.Check.ge(low)
