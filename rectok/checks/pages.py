"""What a gate of a table found, as a page that opens without a network, beside Great Expectations' Data Docs."""

from collections.abc import Mapping, Sequence
from typing import Any

from rectok.artifacts import Check, docs_dir
from rectok.files import write_text
from rectok.pages import filled
from rectok.reporting import check_text


def write_page(gate: str, checks: Sequence[Check], summary: Mapping[str, Any]) -> None:
    """Write data/docs/<gate>/index.html; `summary` is that of the index: images, splits, and classes by split."""
    folder = docs_dir(gate)
    classes = {name: sum(splits.values()) for name, splits in summary["classes"].items()}
    page = filled(
        "rectok.checks",
        "summary.html",
        gate=gate,
        checks=checks,
        text=check_text,
        images=summary["images"],
        splits=summary["splits"],
        classes=classes,
        largest=max(classes.values(), default=0) or 1,
        documents=sorted(path.name for path in folder.glob("*.html") if path.name != "index.html"),
    )
    write_text(folder / "index.html", page)
