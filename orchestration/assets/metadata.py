"""Metadata of artefacts: how they were made, their metrics, their images."""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.assets.headlines import headlines
from orchestration.assets.images import curves, inline_images
from orchestration.graph.model import Artefact, Unit
from orchestration.pages import NARROW, page_url
from rectok.artifacts import LOG_COUNTERS, read_json, read_log, timing_file
from rectok.errors import UserError
from rectok.evaluation.fingerprint import FINGERPRINT
from rectok.pipeline.lock import Record
from rectok.reporting.summary import metric_rows

Metadata = dict[str, dg.MetadataValue[Any] | str | float | None]

RECORD = "record.json"
SUMMARIES = ("summary.json", RECORD)
NETWORKS = "networks"
"""Key of an evaluation's record: the network that each metric was computed with."""
FIRST_PICTURES = ("preview.png", "curve.png", "samples.png")
"""The pictures that a page shows at once, if it has one of them."""
LOG = "log.csv"
LOG_ROWS = 12
ROW_COUNT = "dagster/row_count"
"""Dagster's own name. It shows the number at the head of the asset's page and plots it."""
ROWS = "checksum"
"""The tensor of our safetensors files that has one value per row."""


def asset_metadata(root: Path, artefact: Artefact, unit: Unit, record: Record) -> Metadata:
    """Everything that the asset's page shows of what `unit` made, read from the project at `root`.

    The most telling numbers come first, then pages and pictures, tables and curves, and all other details in one row.
    """
    paths = [root / out.path for out in record.outs]
    metadata: Metadata = {}
    summary: dict[str, Any] = {}
    try:
        timing = _read_json(root / timing_file(artefact.name, unit.shard))
        folders = [path for path in paths if path.is_dir()]
        for name in SUMMARIES:
            for folder in folders:
                tree = _read_json(folder / name)
                summary |= {**tree, **tree.get("metrics", {})}
        metadata = _shown(root, artefact.name, folders, summary, timing.get("seconds"), record.data_version)
        if (rows := row_count(paths)) is not None:
            metadata[ROW_COUNT] = rows
    except UserError as error:
        metadata["damaged"] = str(error)
    metadata["size (MB)"] = round(sum(out.size for out in record.outs) / 1e6, 3)
    metadata["details"] = dg.MetadataValue.json(_details(unit, record, summary))
    return metadata


def _shown(
    root: Path, name: str, folders: Sequence[Path], summary: Mapping[str, Any], seconds: float | None, version: str
) -> Metadata:
    logs = [read_log(folder / LOG) for folder in folders if (folder / LOG).exists()]
    log = logs[0] if logs else []
    metadata: Metadata = dict(headlines(name, summary, log))
    if seconds is not None:
        metadata["time (s)"] = round(seconds, 1)
    pictures = [path for folder in folders for path in folder.glob("*.png")]
    tables: Metadata = {}
    for folder in folders:
        tables |= _metrics(folder / RECORD)
    links = page_links(root, [path for folder in folders for path in folder.glob("*.html")], pictures, version)
    return {**metadata, **links, **tables, **curves(log), **inline_images(pictures), **_log(log)}


def page_links(root: Path, pages: Iterable[Path], pictures: Iterable[Path], version: str) -> Metadata:
    """Links to pages, and the first picture as one short line, which Dagster shows at once; a long one waits for a click."""
    links: Metadata = {}
    for page in sorted(pages):
        url = page_url(page.relative_to(root), version)
        links[page.name] = dg.MetadataValue.url(url) if url else dg.MetadataValue.path(str(page))
    for picture in sorted(pictures, key=lambda path: (path.name not in FIRST_PICTURES, path.name))[:1]:
        if url := page_url(picture.relative_to(root), version):
            links["newest picture"] = dg.MetadataValue.md(f"[![{picture.stem}]({url}{NARROW})]({url})")
    return links


def _details(unit: Unit, record: Record, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Commands, versions, files with their md5, parameters, protocol, and all numbers of the stage as it wrote them."""
    outputs = [{"path": out.path, "md5": out.md5, "bytes": out.size} for out in record.outs]
    return {
        "command": f"dvc repro {unit.stage}",
        "runs": unit.command,
        **({"code version": record.code_version} if record.code_version else {}),
        "outputs": outputs,
        "params": dict(record.params),
        **({"summary": {name: value for name, value in summary.items() if name != "metrics"}} if summary else {}),
    }


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


def _read_json(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _metrics(path: Path) -> Metadata:
    """The table of an evaluation's metrics, each with the network that it was computed with, and the protocol's fingerprint."""
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
    fingerprint = tree.get("protocol", {}).get(FINGERPRINT)
    protocol: Metadata = {"protocol": fingerprint} if fingerprint else {}
    return {"metrics": table(columns, records), **protocol} if records else {}


def _log(rows: Sequence[Mapping[str, str]]) -> Metadata:
    """Evenly spaced rows of a training log, with the first and the last."""
    if not rows:
        return {}
    last = len(rows) - 1
    indices = sorted({round(last * i / (LOG_ROWS - 1)) for i in range(LOG_ROWS)})
    return {"log": dg.MetadataValue.table([dg.TableRecord(dict(map(_short, rows[i].items()))) for i in indices])}


def _short(entry: tuple[str, str]) -> tuple[str, str]:
    """A number of the log with four digits; counts as they are."""
    name, text = entry
    return name, text if name in LOG_COUNTERS[:2] or not text else f"{float(text):.4g}"


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
