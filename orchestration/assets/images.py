"""Images for the event log, where they must be few and small: PNG files, shrunk if they are large, and loss curves."""

import base64
import io
import math
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from rectok.artifacts import LOG_COUNTERS, VALIDATION

MAX_BYTES, MAX_SIDE = 200_000, 1200
"""A PNG file of more bytes is shrunk to this many pixels and stored as JPEG."""
MAX_IMAGES = 6


def inline_images(paths: Iterable[Path], limit: int = MAX_IMAGES) -> dict[str, dg.MarkdownMetadataValue]:
    """The first `limit` PNG files of `paths` by name, as metadata that shows them."""
    return {path.name: inline_image(path) for path in sorted(paths)[:limit]}


def inline_image(path: Path) -> dg.MarkdownMetadataValue:
    """The PNG file at `path`, as metadata that shows it."""
    content = path.read_bytes()
    if len(content) <= MAX_BYTES:
        return _markdown(path.stem, "png", content)
    return _markdown(path.stem, "jpeg", _shrunk(content))


def _markdown(name: str, kind: str, content: bytes) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![{name}](data:image/{kind};base64,{base64.b64encode(content).decode()})")


def _shrunk(content: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        transparent = image.convert("RGBA")
    flat = Image.new("RGB", transparent.size, "white")
    flat.paste(transparent, mask=transparent)
    buffer = io.BytesIO()
    flat.save(buffer, "jpeg", quality=80)
    return buffer.getvalue()


def curves(rows: list[dict[str, str]]) -> dict[str, dg.MarkdownMetadataValue]:
    """Plots over the steps of a training log: its first loss, all validation metrics, learning rate and gradient norm."""
    names = [name for name in (rows[0] if rows else ()) if name not in LOG_COUNTERS]
    losses = [name for name in names if not name.startswith(VALIDATION)]
    validation = [name for name in names if name.startswith(VALIDATION)]
    extra = {"learning rate": "lr", "gradient norm": "grad_norm"}
    chosen = {"loss": losses[0]} if losses else {}
    chosen |= {f"validation {name.removeprefix(VALIDATION).replace('_', ' ')}": name for name in validation}
    chosen |= {title: name for title, name in extra.items() if rows and name in rows[0]}
    plots = {title: _curve(rows, title, name) for title, name in chosen.items()}
    return {title: plot for title, plot in plots.items() if plot is not None}


def _curve(rows: list[dict[str, str]], title: str, name: str) -> dg.MarkdownMetadataValue | None:
    """One plot; None if fewer than two rows hold a finite value."""
    points = [(float(row["step"]), float(row[name])) for row in rows if row[name]]
    points = [point for point in points if math.isfinite(point[1])]
    if len(points) < 2:
        return None
    # matplotlib takes a second to import, and most artefacts have no curve.
    from rectok.reporting.charts import Line, line_png

    steps, values = zip(*points, strict=True)
    return _markdown(title, "png", line_png(Line(steps, values), x="step", y=name))
