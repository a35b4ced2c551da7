"""What the name of a file says about it: its kind, its label and its split."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from rectok.data.data_config import Split

PackedKind = Literal["parquet", "tar", "zip"]
SourceKind = Literal["image"] | PackedKind
_ENDINGS: dict[SourceKind, tuple[str, ...]] = {
    "image": (
        ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
        ".tga", ".tif", ".tiff", ".webp",
    ),
    "parquet": (".parquet",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"),
    "zip": (".zip",),
}  # fmt: skip
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
SPLIT_WORDS = frozenset(_SPLITS)


@dataclass(frozen=True)
class Annotation:
    """The label of an image, and its split if the source names one.

    `folder` stands for a label that folders give. It is known once all folders are (rectok.data.sources.folder_labels).
    """

    label: str
    split: Split | None
    folder: str = ""


def kind_of(name: str) -> SourceKind | None:
    """The kind that a file's ending names. None for tables, notes and other files that may lie beside any kind."""
    lowered = name.lower()
    for kind, endings in _ENDINGS.items():
        if lowered.endswith(endings):
            return kind
    return None


def without_ending(name: str) -> str:
    """The name of a file of a known kind without its ending."""
    ending = next(ending for endings in _ENDINGS.values() for ending in endings if name.lower().endswith(ending))
    return name[: -len(ending)]


def is_hidden(name: str) -> bool:
    """Whether the name of a file, or of a folder around it, begins with a dot or is __MACOSX, as macOS calls companions."""
    return name.startswith((".", "__MACOSX/")) or "/." in name or "/__MACOSX/" in name


def annotation_in(name: str) -> Annotation | None:
    """`label/…/file` or `train/label/…/file`. None for hidden files and for files outside a label's folder."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or is_hidden(name):
        return None
    split = split_named(parts[0])
    if split and len(parts) > 2:
        return Annotation(parts[1], split)
    return Annotation(parts[0], None)


def split_named(word: str) -> Split | None:
    """The split that a word such as `validation` means."""
    return _SPLITS.get(word.lower())


def words_in(name: str) -> list[str]:
    """The words of a name in lower case."""
    return re.split(r"[^a-z]+", name.lower())


def split_in(name: str) -> Split | None:
    """The split in a file name such as `train-00000-of-00002.parquet` or `validation/0.parquet`."""
    path = PurePosixPath(name)
    words = (word for part in (path.name, *reversed(path.parts[:-1])) for word in words_in(part))
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def split_around(name: str) -> Split | None:
    """The split that a folder around a file is called by. The outermost counts."""
    return next((split for part in PurePosixPath(name).parts[:-1] if (split := split_named(part))), None)
