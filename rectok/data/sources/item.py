"""What every source of images gives."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from rectok.data.config import Split

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Item:
    """One image of a source: `uri` relative to the source, its class's name, its split where the source names one."""

    uri: str
    label: str
    split: Split | None
    read: Callable[[], bytes]


class Source(Protocol):
    """Images in a fixed order, with random access by uri."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order that the source gives them; empty where it gives none."""

    def items(self) -> Iterator[Item]:
        """Every image."""

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it) for all `uris`, in the order in which reading is cheap."""


@dataclass(frozen=True)
class Place:
    """What a file's path says about it."""

    label: str
    split: Split | None


def place_of(name: str) -> Place | None:
    """`label/…/file` or `train/label/…/file`; None for hidden files and for files outside a label's folder."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or any(part.startswith(".") for part in parts):
        return None
    split = _SPLIT_NAMES.get(parts[0].lower())
    if split and len(parts) > 2:
        return Place(parts[1], split)
    return Place(parts[0], None)


def split_in(name: str) -> Split | None:
    """The split that a file name such as `train-00000-of-00002.parquet` or `validation/0.parquet` tells of."""
    path = PurePosixPath(name)
    for part in (path.name, *reversed(path.parts[:-1])):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in _SPLIT_NAMES:
                return _SPLIT_NAMES[word]
    return None
