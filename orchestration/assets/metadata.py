"""Metadata of artefacts: how they were made, their metrics, their images."""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.assets.images import curves, inline_images
from orchestration.graph.model import Artefact, Unit
from rectok.artifacts import read_json, read_log, timing_file
from rectok.errors import UserError
from rectok.pipeline.lock import Record
from rectok.reporting.summary import metric_rows

Metadata = dict[str, dg.MetadataValue[Any] | str | float | None]

RECORD = "record.json"
SUMMARIES = ("summary.json", RECORD)
NETWORKS = "networks"
"""Key of an evaluation's record: the network that each metric was computed with."""
LOG = "log.csv"
LOG_ROWS = 12
ROW_COUNT = "dagster/row_count"
"""Dagster's own name. It shows the number at the head of the asset's page and plots it."""
ROWS = "checksum"
"""The tensor of our safetensors files that has one value per row."""


def asset_metadata(root: Path, artefact: Artefact, unit: Unit, record: Record) -> Metadata:
    """Everything that the asset's page shows of what `unit` made, read from the project at `root`."""
    paths = [root / out.path for out in record.outs]
    columns = {"path": "in the project", "md5": "as in dvc.lock", "bytes": "size on disk"}
    metadata: Metadata = {
        "command": f"dvc repro {unit.stage}",
        "runs": unit.command,
        "params": dg.MetadataValue.json(dict(record.params)),
        **({"code version": record.code_version} if record.code_version else {}),
        "outputs": table(columns, [{"path": out.path, "md5": out.md5, "bytes": out.size} for out in record.outs]),
        "bytes": sum(out.size for out in record.outs),
    }
    try:
        timing = _read_json(root / timing_file(artefact.name, unit.shard))
        optional = {"seconds": timing.get("seconds"), ROW_COUNT: row_count(paths)}
        metadata |= {name: value for name, value in optional.items() if value is not None}
        for folder in paths:
            metadata |= _folder(folder) if folder.is_dir() else {}
    except UserError as error:
        metadata["damaged"] = str(error)
    return metadata


def _folder(folder: Path) -> Metadata:
    """The summaries, the table of metrics, the log with its curve and the images of a folder of outputs."""
    summaries: Metadata = {}
    for name in SUMMARIES:
        summaries |= json_metadata(folder / name)
    log = read_log(folder / LOG) if (folder / LOG).exists() else []
    return summaries | _metrics(folder / RECORD) | _log(log) | curves(log) | inline_images(folder.glob("*.png"))


def table(
    columns: Mapping[str, str], records: Sequence[Mapping[str, str | int | float | bool | None]]
) -> dg.TableMetadataValue:
    """A table of `columns`, each with its description. The first record decides which columns are numbers."""
    first = records[0] if records else {}
    schema = [dg.TableColumn(name, _type(first.get(name)), description=text) for name, text in columns.items()]
    return dg.MetadataValue.table([dg.TableRecord(dict(record)) for record in records], dg.TableSchema(schema))


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return {int: "int", float: "float"}.get(type(value), "string")


def json_metadata(path: Path) -> Metadata:
    """The numbers and texts of the JSON file at `path`, under dotted names. Empty if there is no file."""
    tree = _read_json(path)
    tree |= tree.pop("metrics", {})
    return dict(_leaves({name: value for name, value in tree.items() if name != NETWORKS}, ""))


def _read_json(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, dg.MetadataValue[Any] | str | float]]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else name)
    elif isinstance(tree, list):
        yield prefix, dg.MetadataValue.json(tree)
    elif tree is not None:
        yield prefix, tree


def _metrics(path: Path) -> Metadata:
    """The table of an evaluation's metrics, each with the network that it was computed with."""
    tree = _read_json(path)
    columns = {
        "metric": "its title",
        "value": "as measured",
        "better": "higher or lower values",
        "computed with": "the network that the metric rests on",
    }
    records = [
        {"metric": row.title, "value": row.value, "better": row.better, "computed with": row.network}
        for row in metric_rows(tree.get("metrics", {}), tree.get(NETWORKS, {}))
    ]
    return {"metrics": table(columns, records)} if records else {}


def _log(rows: Sequence[Mapping[str, str]]) -> Metadata:
    """Evenly spaced rows of a training log, with the first and the last."""
    if not rows:
        return {}
    last = len(rows) - 1
    indices = sorted({round(last * i / (LOG_ROWS - 1)) for i in range(LOG_ROWS)})
    return {"log": dg.MetadataValue.table([dg.TableRecord(dict(rows[i])) for i in indices])}


def row_count(paths: Iterable[Path]) -> int | None:
    """Rows of the tables among `paths` and in their folders. Damaged files are left out. None if there is no table."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.glob("*.parquet"))]
    tables = [file for file in files if file.suffix in (".parquet", ".safetensors")]
    counts = [count for file in tables if (count := _count(file)) is not None]
    return sum(counts) if counts else None


def _count(path: Path) -> int | None:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        if path.suffix == ".parquet":
            return int(read_metadata(path).num_rows)
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
        return int(header[ROWS]["shape"][0])
    except (
        ArrowException,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ):
        return None
