"""What an evaluation stage keeps: figures, the network that computed each, and the protocol. No torch here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rectok.artifacts import metrics_file, read_json, write_json

PIXELS = "no network: pixels"
PROBE = "no network: logistic regression"


@dataclass(frozen=True)
class Record:
    """`networks` has the same keys as `figures`; `protocol` says in words and numbers how they came about."""

    figures: Mapping[str, Any]
    networks: Mapping[str, str]
    protocol: Mapping[str, str | int | float]


def write_record(stage: str, record: Record) -> None:
    """Keep the figures flat, so that `dvc metrics` reads them, beside their networks and their protocol."""
    assert record.figures.keys() == record.networks.keys()
    rest = asdict(record)
    write_json(metrics_file(stage), {**rest.pop("figures"), **rest})


def read_record(stage: str) -> Record:
    """The record that `write_record` kept."""
    tree = read_json(metrics_file(stage))
    networks, protocol = tree.pop("networks"), tree.pop("protocol")
    return Record(tree, networks, protocol)
