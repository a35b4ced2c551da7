"""What Dagster shows of an artefact: where it came from, its figures, its pictures."""

import base64
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import MetadataValue, TableRecord
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.graph import Artefact, Unit
from orchestration.locked import Record
from rectok.artifacts import timing_file

FIGURES = ("summary.json", "metrics.json")
LOG = "log.csv"
PICTURES, PICTURE_BYTES = 6, 200_000
"""Pictures travel inside the event log, so there are few and they are small."""
LOG_ROWS = 12


def metadata(root: Path, artefact: Artefact, unit: Unit, record: Record) -> dict[str, RawMetadataValue]:
    """Everything worth seeing about what `unit` made, read from the project at `root`."""
    folders = [root / out.path for out in record.outs if (root / out.path).is_dir()]
    found: dict[str, RawMetadataValue] = {
        "command": f"dvc repro {unit.stage}",
        "outputs": MetadataValue.table([TableRecord(_output(out.path, out.md5, out.size)) for out in record.outs]),
        "bytes": sum(out.size for out in record.outs),
    }
    seconds = _seconds(root, artefact, unit)
    if seconds is not None:
        found["seconds"] = seconds
    for folder in folders:
        for name in FIGURES:
            found |= figures(folder / name)
        found |= _log(folder / LOG)
        found |= pictures(folder.glob("*.png"))
    return found


def _output(path: str, md5: str, size: int) -> dict[str, str | int]:
    return {"path": path, "md5": md5, "bytes": size}


def _seconds(root: Path, artefact: Artefact, unit: Unit) -> float | None:
    path = root / timing_file(artefact.name, unit.shard)
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.exists() else None


def figures(path: Path) -> dict[str, RawMetadataValue]:
    """The numbers and words of the JSON file at `path`, under dotted names; nothing where there is none."""
    if not path.exists():
        return {}
    return dict(_leaves(json.loads(path.read_text(encoding="utf-8")), ""))


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, RawMetadataValue]]:
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else name)
    elif isinstance(tree, list):
        yield prefix, MetadataValue.json(tree)
    elif tree is not None:
        yield prefix, tree


def _log(path: Path) -> dict[str, RawMetadataValue]:
    """A few evenly spaced rows of a training log, the last one among them."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    last = len(rows) - 1
    chosen = sorted({round(last * i / (LOG_ROWS - 1)) for i in range(LOG_ROWS)})
    return {"log": MetadataValue.table([TableRecord(dict(rows[i])) for i in chosen])}


def pictures(paths: Iterable[Path]) -> dict[str, RawMetadataValue]:
    """The first few small pictures of `paths`, each shown in place."""
    small = [path for path in sorted(paths) if path.stat().st_size <= PICTURE_BYTES]
    return {path.name: MetadataValue.md(f"![{path.stem}]({_inline(path)})") for path in small[:PICTURES]}


def _inline(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
