"""The record of an evaluation: metrics, what computed each of them, and the protocol. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rectok.artifacts import metrics_file, read_json, record_file, write_json
from rectok.evaluation.metrics import metric_sources, points


@dataclass(frozen=True)
class Record:
    """`networks` has the keys of `metrics` and names what computed each; `protocol` says in words and numbers how."""

    metrics: Mapping[str, Any]
    networks: Mapping[str, str]
    protocol: Mapping[str, str | int | float]


def record_of(
    stage: str, metrics: Mapping[str, Any], protocol: Mapping[str, str | int | float], metric_network: str = ""
) -> Record:
    """The record of what `stage` measured with the metric network of that title.

    Raises ValueError unless `metrics` are exactly those that the table of metrics has for the stage.
    """
    return Record(metrics, metric_sources(stage, metrics, metric_network), protocol)


def write_record(stage: str, record: Record) -> None:
    """Write record.json, and metrics.json with the numbers alone for `dvc metrics`."""
    assert record.metrics.keys() == record.networks.keys()
    write_json(metrics_file(stage), numbers(record.metrics))
    write_json(record_file(stage), asdict(record))


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that have a value; the points of the probe's curve are `probe@0.5` and so on."""
    return {name: value for name, value in points(metrics).items() if value is not None}


def read_record(stage: str) -> Record:
    """The record that `write_record` wrote."""
    return Record(**read_json(record_file(stage)))
