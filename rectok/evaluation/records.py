"""What an evaluation stage keeps: figures, the network that computed each, and the protocol. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rectok.artifacts import metrics_file, read_json, record_file, write_json

PIXELS = "no network: pixels"
PROBE = "no network: logistic regression"


@dataclass(frozen=True)
class Record:
    """`networks` has the same keys as `figures`; `protocol` says in words and numbers how they came about."""

    figures: Mapping[str, Any]
    networks: Mapping[str, str]
    protocol: Mapping[str, str | int | float]


def write_record(stage: str, record: Record) -> None:
    """Keep the figures beside their networks and their protocol; and once more as `numbers`, for `dvc metrics`."""
    assert record.figures.keys() == record.networks.keys()
    write_json(metrics_file(stage), numbers(record.figures))
    rest = asdict(record)
    write_json(record_file(stage), {**rest.pop("figures"), **rest})


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """What is a number among `figures`; the probe's curve as `probe@0.5` and so on."""
    curve = {f"probe@{point['t']:g}": point["accuracy"] for point in figures.get("probe", ())}
    return curve | {name: value for name, value in figures.items() if isinstance(value, int | float)}


def read_record(stage: str) -> Record:
    """The record that `write_record` kept."""
    tree = read_json(record_file(stage))
    networks, protocol = tree.pop("networks"), tree.pop("protocol")
    return Record(tree, networks, protocol)
