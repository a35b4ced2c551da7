"""The files below a folder or prefix. They must be single images, or parquet, tar or zip files of one kind."""

import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import PurePosixPath

from rectok.data.sources.containment import Links
from rectok.data.sources.metadata_tables import is_metadata
from rectok.data.sources.names import SourceKind, is_hidden, kind_of, without_ending
from rectok.errors import UserError
from rectok.storage.objects import below, direct_files, is_remote, list_files
from rectok.storage.s3 import StoredFile

STATISTICS = "_stats.json"
"""img2dataset writes 00000_stats.json beside 00000.parquet and 00000.tar, or beside the folder 00000."""
TO_PARQUET = {
    ".arrow": "as save_to_disk of Hugging Face's datasets writes it; write Parquet instead, with to_parquet of each split",
    ".lance": "a Lance dataset; write Parquet instead, with "
    "pyarrow.dataset.write_dataset(lance.dataset(FOLDER).scanner().to_reader(), NEW_FOLDER, format='parquet')",
}
"""Endings of files that hold tables but are no Parquet, and how to go on."""
PEEKED = 1000
"""File names that decide the kind of a source: one page of an object store's listing."""


class SourceFolder:
    """The files below `root` that are not hidden.

    Opening it decides their `kind` by the first names, which costs little for a million images. `files` then lists them, in
    one pass. Every name is checked, and UserError is raised at the first file of a second kind.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.kind: SourceKind | None = None
        """None if no name has a known ending."""
        self._example = ""
        self._siblings: dict[str, set[str]] = {}
        """For a folder with parquet files the names of img2dataset's files of statistics."""
        names = _any_order(root)
        first = list(islice(names, PEEKED))
        for name in first:
            self._check(name)
        if self.kind is None:
            self._decide(first, names)

    def files(self) -> Iterator[StoredFile]:
        """All files in the order of their names. Holds one page or folder at a time.

        Raises UserError for a symbolic link out of the folder.
        """
        links = Links(self.root)
        for file in list_files(self.root, dangling=True):
            if not is_hidden(file.name):
                links.check(file.name, file.link)
                self._check(file.name)
                yield file

    def metadata_names(self) -> list[str]:
        """Names of the tables metadata.csv and metadata.jsonl."""
        return sorted(name for name in _all_names(self.root) if is_metadata(name))

    def packed_names(self) -> list[str]:
        """Names of the parquet, tar or zip files."""
        return [file.name for file in self.files() if kind_of(file.name) == self.kind]

    def _check(self, name: str) -> None:
        for ending, advice in TO_PARQUET.items():
            if name.endswith(ending):
                raise UserError(f"index.source {self.root} holds {name}, {advice}")
        kind = kind_of(name)
        if kind is None or kind == self.kind or (kind == "parquet" and self._is_companion(name)):
            return
        if self.kind:
            raise UserError(
                f"index.source {self.root} holds both {self._example} and {name}, but its images must be single files or "
                "lie in parquet, tar or zip files of one kind; move the others away, or name the file or folder that is meant"
            )
        self.kind, self._example = kind, name

    def _is_companion(self, name: str) -> bool:
        """Whether img2dataset wrote a parquet file about the tar file, or the folder of images, of the same name."""
        folder, _, base = name.rpartition("/")
        if folder not in self._siblings:
            files = direct_files(below(self.root, folder) if folder else self.root)
            self._siblings[folder] = {file for file in files if file.endswith(STATISTICS)}
        return f"{without_ending(base)}{STATISTICS}" in self._siblings[folder]

    def _decide(self, first: list[str], others: Iterator[str]) -> None:
        """No ending among the `first` names is known. Files without any ending are images; else read on."""
        bare = next((name for name in first if not PurePosixPath(name).suffix), "")
        if bare:
            self.kind, self._example = "image", bare
        elif name := next((name for name in others if kind_of(name)), ""):
            self._check(name)


def _any_order(root: str) -> Iterator[str]:
    """Names of all files that are not hidden. A stray archive in `root` itself comes before a million images below it."""
    if not is_remote(root):
        return _walk(root)
    direct, listed = direct_files(root), (file.name for file in list_files(root))
    return (name for name in chain(islice(direct, PEEKED), listed) if not is_hidden(name))


def _all_names(root: str) -> Iterator[str]:
    """Names of all files that are not hidden, in any order."""
    return (file.name for file in list_files(root) if not is_hidden(file.name)) if is_remote(root) else _walk(root)


def _walk(root: str) -> Iterator[str]:
    """Names below a local folder, a folder's own files first. Unlike `list_files` it neither sorts nor reads sizes."""
    folders, links = [""], Links(root)
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(f"{root}/{folder}") as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if entry.is_symlink():
                            links.check(f"{folder}{entry.name}")
                        folders.append(f"{folder}{entry.name}/")
                    elif entry.is_file() or entry.is_symlink():
                        yield f"{folder}{entry.name}"
        except OSError as error:
            raise UserError(f"{root}/{folder} cannot be listed: {error.strerror}") from None
