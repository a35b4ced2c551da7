"""The metrics of the whole pipeline, gathered from the evaluation stages. No torch here."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rectok.artifacts import DATA, read_json, record_file
from rectok.errors import UserError
from rectok.evaluation.records import Record, read_record

EVALUATIONS = ("reconstruction", "probe", "generation")


@dataclass(frozen=True)
class Summary:
    """Metrics with the network that computed each, a protocol per stage, and how many seconds each stage took."""

    metrics: dict[str, Any]
    networks: dict[str, str]
    protocol: dict[str, dict[str, str | int | float]]
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """One flat record: metrics by name, beside networks, protocol and seconds."""
        rest = asdict(self)
        return {**rest.pop("metrics"), **rest}


def made(stages: Iterable[str] = EVALUATIONS) -> list[str]:
    """Those of the evaluation `stages` that have left a record."""
    return [stage for stage in stages if record_file(stage).exists()]


def read_summary(stages: Iterable[str] = EVALUATIONS) -> Summary:
    """Gather the records of the evaluation `stages`. Raises UserError naming the first that is missing."""
    records = {stage: _record(stage) for stage in stages}
    metrics: dict[str, Any] = {}
    networks: dict[str, str] = {}
    for record in records.values():
        metrics |= record.metrics
        networks |= record.networks
    return Summary(metrics, networks, {stage: dict(r.protocol) for stage, r in records.items()}, stage_seconds())


def stage_seconds() -> dict[str, float]:
    """Seconds that the last run of each stage (`gate-…` for its gate) took here, shards summed, by name."""
    seconds: dict[str, float] = {}
    for path in sorted((DATA / "timings").glob("*.json")):
        timing = read_json(path)
        seconds[timing["stage"]] = round(seconds.get(timing["stage"], 0.0) + timing["seconds"], 2)
    return seconds


def _record(stage: str) -> Record:
    try:
        return read_record(stage)
    except FileNotFoundError:
        raise UserError(
            f"{record_file(stage)} is missing, so there is nothing to sum up; `dvc repro` makes it"
        ) from None
