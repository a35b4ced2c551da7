"""The page of the index: its checks, its classes with a few images of each, and the files that shards left out.

It opens without a network, beside Great Expectations' Data Docs.
"""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rectok.artifacts import (
    Check,
    check_file,
    class_strip,
    classes_file,
    docs_dir,
    quarantine_file,
    quarantine_picture,
    read_json,
    read_report,
    summary_file,
)
from rectok.data.data_config import SPLITS
from rectok.errors import UserError
from rectok.files import write_text
from rectok.pages import data_uri, filled
from rectok.reporting import check_text
from rectok.reporting.check_catalogue import described

LISTED = 200
"""Quarantined files on the page."""


@dataclass(frozen=True)
class ClassRow:
    """A class, its number of images, and a strip of some of them as a data: URI, empty where there is none."""

    name: str
    images: int
    strip: str


def write_page(checks: Sequence[Check], summary: Mapping[str, Any]) -> None:
    """Write data/docs/index/index.html; `summary` is that of the index: images, splits, and classes by split."""
    folder = docs_dir("index")
    with _alone():
        quarantined = _quarantined()
        classes = _classes(summary)
        page = filled(
            "rectok.checks",
            "summary.html",
            checks=checks,
            described=described,
            text=check_text,
            images=summary["images"],
            splits={split: summary["splits"][split] for split in SPLITS if split in summary["splits"]},
            classes=classes,
            largest=max((each.images for each in classes), default=0) or 1,
            quarantined=quarantined[:LISTED],
            bad=len(quarantined),
            documents=sorted(path.name for path in folder.glob("*.html") if path.name != "index.html"),
        )
        write_text(folder / "index.html", page)


def renew_page() -> None:
    """Write the page again, with the files that shards have left out by now. There is none before the index's gate has run.

    The record of another shard may be damaged. Its own gate says so.
    """
    report, summary = check_file("index"), summary_file("index")
    if report.exists() and summary.exists():
        with suppress(UserError):
            write_page(read_report(report).checks, read_json(summary))


@contextmanager
def _alone() -> Iterator[None]:
    """Gates of several shards may end at once. The last one then reads what all of them found."""
    path = docs_dir("index") / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _classes(summary: Mapping[str, Any]) -> list[ClassRow]:
    names = read_json(classes_file(), list) if classes_file().exists() else []
    labels = {name: label for label, name in enumerate(names)}
    return [
        ClassRow(name, sum(splits.values()), _picture(class_strip(labels[name])) if name in labels else "")
        for name, splits in summary["classes"].items()
    ]


def _quarantined() -> list[dict[str, str]]:
    """The records of all shards, each with a picture."""
    paths = sorted(quarantine_file("*").parent.glob(quarantine_file("*").name))
    records = [record for path in paths for record in read_json(path, list)]
    return [
        {**record, "picture": _picture(quarantine_picture(record["key"])) if place < LISTED else ""}
        for place, record in enumerate(records)
    ]


def _picture(path: Path) -> str:
    return data_uri(path) if path.exists() else ""
