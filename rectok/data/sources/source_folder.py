"""Of what kind a source is, by the names of its files: it must hold images as single files or in files of one kind."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Literal

from rectok.data.sources.image_source import is_hidden
from rectok.errors import UserError
from rectok.storage import direct_files, is_remote, list_files

Kind = Literal["image", "parquet", "tar", "zip"]
_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "image": (
        ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif",
        ".tiff", ".webp",
    ),
    "parquet": (".parquet",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"),
    "zip": (".zip",),
}  # fmt: skip
PEEKED = 1000
"""Files that tell of what kind a source is: one page of an object store's list."""


def kind_of(name: str) -> Kind | None:
    """What a file's name says; None for what may lie beside any kind, such as tables and notes."""
    lowered = name.lower()
    return next((kind for kind, endings in _ENDINGS.items() if lowered.endswith(endings)), None)


def without_ending(name: str) -> str:
    """A file's name without the ending that tells its kind."""
    ending = next(ending for endings in _ENDINGS.values() for ending in endings if name.lower().endswith(ending))
    return name[: -len(ending)]


@dataclass
class OneKind:
    """The kind of the files below `root`, as far as their names were met, and the first file of it."""

    root: str
    kind: Kind | None = None
    example: str = ""

    def meet(self, name: str) -> None:
        """Raises UserError when `name` is of another kind than those before it."""
        kind = kind_of(name)
        if kind is None or kind == self.kind:
            return
        if self.kind:
            raise UserError(
                f"index.source {self.root} holds both {self.example} and {name}, but its images must be single files or lie "
                "in parquet, tar or zip files of one kind; move the others away, or name the file or folder that is meant"
            )
        self.kind, self.example = kind, name


def look(root: str) -> OneKind:
    """The kind of what lies below a folder or prefix, by some of its files, by all where those tell nothing.

    Files without any ending are taken for images. None where no name tells. Raises UserError when already these are of two
    kinds.
    """
    only, names = OneKind(root), list(_some(root))
    for name in names:
        only.meet(name)
    if only.kind:
        return only
    if bare := next((name for name in names if not PurePosixPath(name).suffix), ""):
        return OneKind(root, "image", bare)
    telling = (name for name in visible(file.name for file in list_files(root)) if kind_of(name))
    for name in islice(telling, 1):
        only.meet(name)
    return only


def archives(only: OneKind) -> list[str]:
    """All files of the kind, which is not image, in the order of their names. Raises UserError when there are others."""
    found = []
    for name in visible(file.name for file in list_files(only.root)):
        only.meet(name)
        if kind_of(name) == only.kind:
            found.append(name)
    return found


def visible(names: Iterator[str]) -> Iterator[str]:
    """Those that are not hidden."""
    return (name for name in names if not is_hidden(name))


def _some(root: str) -> Iterator[str]:
    """Some visible names, first of what lies directly in `root`: a stray archive there is met before a million images."""
    if is_remote(root):
        yield from islice(visible(direct_files(root)), PEEKED)
        yield from islice(visible(file.name for file in list_files(root)), PEEKED)
    else:
        yield from islice(_walked(root), PEEKED)


def _walked(root: str) -> Iterator[str]:
    """Visible names below a local folder, a folder's own files first; sizes and order, which cost much, are not asked for."""
    folders = [""]
    while folders:
        inner = folders.pop()
        try:
            with os.scandir(f"{root}/{inner}") as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(f"{inner}{entry.name}/")
                    elif entry.is_file():
                        yield f"{inner}{entry.name}"
        except OSError as error:
            raise UserError(f"{root}/{inner} cannot be listed: {error.strerror}") from None
