"""What Dagster shows of an artefact: where it came from, its figures, its pictures."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import MetadataValue, TableColumn, TableMetadataValue, TableRecord, TableSchema
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.assets.pictures import curve, log_rows, pictures
from orchestration.assets.row_counts import rows
from orchestration.graph.model import Artefact, Unit
from rectok.artifacts import timing_file
from rectok.pipeline.lock import Locked, Record
from rectok.reporting.display import metric_rows

METRICS = "record.json"
FIGURES = ("summary.json", METRICS)
NETWORKS = "networks"
"""Which network each figure of an evaluation rests on: a column of its table."""
LOG = "log.csv"
LOG_ROWS = 12
ROW_COUNT = "dagster/row_count"
"""Dagster's own name: it shows the number in the asset's header and plots it."""


def metadata(root: Path, artefact: Artefact, unit: Unit, record: Record) -> dict[str, RawMetadataValue]:
    """Everything worth seeing about what `unit` made, read from the project at `root`."""
    paths = [root / out.path for out in record.outs]
    found: dict[str, RawMetadataValue] = {
        "command": f"dvc repro {unit.stage}",
        "runs": unit.command,
        "params": MetadataValue.json(dict(record.params)),
        **({"code version": record.code_version} if record.code_version else {}),
        "outputs": _outputs(record.outs),
        "bytes": sum(out.size for out in record.outs),
    }
    seconds, count = _seconds(root, artefact, unit), rows(paths)
    if seconds is not None:
        found["seconds"] = seconds
    if count is not None:
        found[ROW_COUNT] = count
    for folder in paths:
        if folder.is_dir():
            found |= _folder(folder)
    return found


def _folder(folder: Path) -> dict[str, RawMetadataValue]:
    """What a folder of outputs holds for people: figures, a table of metrics, a log and its curve, pictures."""
    found: dict[str, RawMetadataValue] = {}
    for name in FIGURES:
        found |= figures(folder / name)
    log = log_rows(folder / LOG)
    return found | _metrics(folder / METRICS) | _log(log) | curve(log) | pictures(folder.glob("*.png"))


def table(
    columns: Mapping[str, str], records: Sequence[Mapping[str, str | int | float | bool | None]]
) -> TableMetadataValue:
    """A table whose `columns` have a description each; numbers are told by the first record."""
    first = records[0] if records else {}
    schema = [TableColumn(name, _kind(first.get(name)), description=text) for name, text in columns.items()]
    return MetadataValue.table([TableRecord(dict(record)) for record in records], TableSchema(schema))


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return {int: "int", float: "float"}.get(type(value), "string")


def _outputs(outs: Sequence[Locked]) -> TableMetadataValue:
    columns = {"path": "in the project", "md5": "as in dvc.lock", "bytes": "size on disk"}
    return table(columns, [{"path": out.path, "md5": out.md5, "bytes": out.size} for out in outs])


def _seconds(root: Path, artefact: Artefact, unit: Unit) -> float | None:
    path = root / timing_file(artefact.name, unit.shard)
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.exists() else None


def figures(path: Path) -> dict[str, RawMetadataValue]:
    """The numbers and words of the JSON file at `path`, under dotted names; nothing where there is none."""
    if not path.exists():
        return {}
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree |= tree.pop("metrics", {})
    return dict(_leaves({name: value for name, value in tree.items() if name != NETWORKS}, ""))


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, RawMetadataValue]]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else name)
    elif isinstance(tree, list):
        yield prefix, MetadataValue.json(tree)
    elif tree is not None:
        yield prefix, tree


def _metrics(path: Path) -> dict[str, RawMetadataValue]:
    """The metrics of an evaluation, each with the network that it was computed with."""
    if not path.exists():
        return {}
    tree = json.loads(path.read_text(encoding="utf-8"))
    columns = {
        "metric": "its title",
        "value": "as measured",
        "better": "higher or lower values",
        "computed with": "the network that the metric rests on",
    }
    records = [
        {"metric": row.title, "value": row.value, "better": row.better, "computed with": row.network}
        for row in metric_rows(tree["metrics"], tree[NETWORKS])
    ]
    return {"metrics": table(columns, records)} if records else {}


def _log(rows: Sequence[Mapping[str, str]]) -> dict[str, RawMetadataValue]:
    """A few evenly spaced rows of a training log, the last one among them."""
    if not rows:
        return {}
    last = len(rows) - 1
    chosen = sorted({round(last * i / (LOG_ROWS - 1)) for i in range(LOG_ROWS)})
    return {"log": MetadataValue.table([TableRecord(dict(rows[i])) for i in chosen])}
