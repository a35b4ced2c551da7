"""What every source of images gives."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from rectok.data.data_config import Split

if TYPE_CHECKING:
    from rectok.data.sources.labels import Labels

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


@dataclass(frozen=True)
class Place:
    """What is known of a file: its label, and its split where one is named."""

    label: str
    split: Split | None


class Source(Protocol):
    """Images in a fixed order, with random access by uri."""

    def classes(self, labels: "Labels") -> tuple[str, ...]:
        """Class names in the order that the source gives them; empty where it gives none."""

    def items(self, labels: "Labels") -> Iterator[Item]:
        """Every image that has a label. Raises UserError where the source cannot have such labels."""

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it) for all `uris`, in the order in which reading is cheap."""


def place_of(name: str) -> Place | None:
    """`label/…/file` or `train/label/…/file`; None for hidden files and for files outside a label's folder."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or is_hidden(name):
        return None
    split = _SPLIT_NAMES.get(parts[0].lower())
    if split and len(parts) > 2:
        return Place(parts[1], split)
    return Place(parts[0], None)


def is_hidden(name: str) -> bool:
    """Whether a file or a folder around it has a name that begins with a dot."""
    return name.startswith(".") or "/." in name


def split_named(word: str) -> Split | None:
    """The split that a word such as `validation` means."""
    return _SPLIT_NAMES.get(word.lower())


def split_in(name: str) -> Split | None:
    """The split that a file name such as `train-00000-of-00002.parquet` or `validation/0.parquet` tells of."""
    path = PurePosixPath(name)
    for part in (path.name, *reversed(path.parts[:-1])):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in _SPLIT_NAMES:
                return _SPLIT_NAMES[word]
    return None
