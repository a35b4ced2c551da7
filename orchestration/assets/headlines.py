"""The few numbers that an asset's page begins with: named, rounded, with units. Dagster plots each over time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any

from rectok.evaluation.metrics import METRICS, Metric

MAX_HEADLINES = 6


@dataclass(frozen=True)
class Number:
    """A number as people read it: its title with the unit, its decimals, and a factor for the unit."""

    title: str
    decimals: int
    factor: float = 1.0

    def of(self, value: float) -> float | int:
        """`value` in the unit, rounded."""
        rounded = round(value * self.factor, self.decimals)
        return rounded if self.decimals else int(rounded)


SUMMARY = {
    "psnr": Number("PSNR (dB)", 2),
    "psnr_before": Number("PSNR before finetuning (dB)", 2),
    "semantic_cosine": Number("semantic cosine", 3),
    "val_accuracy": Number("accuracy on val (%)", 1, 100),
    "test_accuracy": Number("accuracy on test (%)", 1, 100),
    "final_loss": Number("final loss", 4),
    "loss_ratio": Number("loss, end over start", 3),
    "sample_std": Number("std across samples", 3),
    "steps": Number("steps", 0),
    "images": Number("images", 0),
    "parameters": Number("parameters (million)", 2, 1e-6),
}
"""Of the summary of a stage, the most telling first."""
SPEED = {
    "images_per_second": Number("images/s", 0),
    "tflops": Number("TFLOP/s", 1),
    "mfu": Number("MFU (%)", 1, 100),
    "memory_gib": Number("GPU memory (GiB)", 2),
    "data_wait": Number("data wait (%)", 1, 100),
}
"""Columns of a training log; a log has those that were measured."""


def headlines(name: str, summary: Mapping[str, Any], log: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """At most `MAX_HEADLINES` numbers of an artefact's summary or record, then the median speed of its training."""
    metrics = {key: metric for key, metric in METRICS.items() if metric.stage == name and metric.headline}
    first = metric_numbers(metrics, summary) if metrics else _numbers(SUMMARY, summary)
    return dict([*first.items()][:MAX_HEADLINES]) | dict(_speed(log))


def metric_numbers(metrics: Mapping[str, Metric], values: Mapping[str, Any]) -> dict[str, float]:
    """The `values` of `metrics` that were measured, by title and unit."""
    return _numbers({key: _of_metric(metric) for key, metric in metrics.items()}, values)


def _numbers(numbers: Mapping[str, Number], values: Mapping[str, Any]) -> dict[str, float]:
    measured = {key: value for key in numbers if isinstance(value := values.get(key), (int, float)) and isfinite(value)}
    return {numbers[key].title: numbers[key].of(value) for key, value in measured.items()}


def _of_metric(metric: Metric) -> Number:
    """The decimals and the unit that the table of metrics has, such as `{:.1%}` or `{:.2f} dB`."""
    decimals = int(metric.format.partition(".")[2][:1] or 0)
    unit = metric.unit.strip()
    return Number(f"{metric.title} ({unit})" if unit else metric.title, decimals, 100 if unit == "%" else 1)


def _speed(log: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, float]]:
    for column, number in SPEED.items():
        if values := [value for row in log if row.get(column) and isfinite(value := float(row[column]))]:
            yield number.title, number.of(median(values))
