"""Pictures inside the event log, where they must be few and small: grids as they were drawn or shrunk, and curves."""

import base64
import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from dagster import MarkdownMetadataValue, MetadataValue

BYTES, SIDE = 200_000, 1200
"""A picture of more bytes is shrunk to this many pixels and kept as JPEG."""
FEW = 6
COUNTED = ("step", "images", "lr")
"""Columns of a training log that are no losses."""


def pictures(paths: Iterable[Path], most: int = FEW) -> dict[str, MarkdownMetadataValue]:
    """The first few pictures of `paths` by name, each shown in place."""
    return {path.name: picture(path) for path in sorted(paths)[:most]}


def picture(path: Path) -> MarkdownMetadataValue:
    """The PNG file at `path`, shown in place."""
    content = path.read_bytes()
    if len(content) <= BYTES:
        return _shown(path.stem, "png", content)
    return _shown(path.stem, "jpeg", _shrunk(content))


def _shown(name: str, kind: str, content: bytes) -> MarkdownMetadataValue:
    return MetadataValue.md(f"![{name}](data:image/{kind};base64,{base64.b64encode(content).decode()})")


def _shrunk(content: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        opened.thumbnail((SIDE, SIDE))
        clear = opened.convert("RGBA")
    flat = Image.new("RGB", clear.size, "white")
    flat.paste(clear, mask=clear)
    buffer = io.BytesIO()
    flat.save(buffer, "jpeg", quality=80)
    return buffer.getvalue()


def log_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the training log at `path`; none where there is no log."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def curve(rows: list[dict[str, str]]) -> dict[str, MarkdownMetadataValue]:
    """The first loss of a training log over its steps, drawn; nothing where fewer than two rows hold one."""
    losses = [name for name in (rows[0] if rows else ()) if name not in COUNTED]
    if not losses:
        return {}
    points = [(float(row["step"]), float(row[losses[0]])) for row in rows if row[losses[0]]]
    points = [point for point in points if math.isfinite(point[1])]
    if len(points) < 2:
        return {}
    # matplotlib takes a second to import, and most artefacts have no curve.
    from rectok.reporting.charts import Line, line_png

    steps, values = zip(*points, strict=True)
    return {"loss": _shown("loss", "png", line_png(Line(steps, values), x="step", y=losses[0]))}
