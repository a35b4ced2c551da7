"""The record of an evaluation against the table of metrics."""

from collections.abc import Generator
from math import isfinite

import pandas as pd
import pandera.pandas as pa

from rectok.artifacts import Check
from rectok.checks.bounds import holds
from rectok.checks.tables import fits
from rectok.evaluation.metrics import Metric, Record, metrics_of

TIME = pa.Column(float, pa.Check.in_range(0, 1, include_max=False), unique=True)


def record_checks(stage: str, record: Record) -> Generator[Check, None, bool]:
    """All metrics of `stage` and no others, possible values, and the name of the network beside each.

    Returns whether thresholds can be compared: all metrics are there and possible.
    """
    table = metrics_of(stage)
    curves = {name for name, metric in table.items() if metric.curve}
    numbers = {name: value for name, value in record.metrics.items() if name not in curves}
    results = [fits("schema", pd.DataFrame([numbers]), _schema({n: m for n, m in table.items() if n not in curves}))]
    results += [
        fits("schema", pd.DataFrame(record.metrics.get(name, ())), _curve_schema(table[name])) for name in curves
    ]
    broken = [check.message for check in results if not check.passed]
    yield holds("schema", not broken, "; ".join(broken))
    yield holds("networks", record.networks.keys() == record.metrics.keys(), "a metric lacks the name of its network")
    return not broken


def _schema(table: dict[str, Metric]) -> pa.DataFrameSchema:
    columns = {name: pa.Column(float, _bounds(metric), nullable=bool(metric.absent)) for name, metric in table.items()}
    return pa.DataFrameSchema(columns, strict=True, coerce=True)


def _curve_schema(metric: Metric) -> pa.DataFrameSchema:
    return pa.DataFrameSchema({"t": TIME, "accuracy": pa.Column(float, _bounds(metric))}, strict=True, coerce=True)


def _bounds(metric: Metric) -> pa.Check:
    low, high = metric.bounds
    return pa.Check.in_range(low, high) if isfinite(high) else pa.Check.ge(low)
