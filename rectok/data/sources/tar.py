"""Tar files: one folder per label, or WebDataset samples with their label in a .cls member."""

import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from rectok.data.config import Split
from rectok.data.sources.item import Item, place_of, split_in
from rectok.errors import UserError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_NO_IMAGES = ("cls", "json", "txt")
_URI = re.compile(r"(?P<file>.+)#(?P<offset>\d+)\+(?P<size>\d+)/(?P<member>.*)", re.DOTALL)


class Tar:
    """Images inside tar files; uris are `file.tar#offset+size/member`, offsets counted in the uncompressed stream."""

    classes: tuple[str, ...] = ()

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self.root = root
        self.names = [file.relative_to(root).as_posix() for file in files]

    def items(self) -> Iterator[Item]:
        """Every image, in the order of the files."""
        for name in self.names:
            with self._opened(name) as tar:
                members = (member for member in tar if member.isreg())
                for _, group in groupby(members, key=lambda member: _sample(member.name)):
                    yield from _items(tar, name, list(group), split_in(name))

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it), file by file and forward inside each file."""
        wanted: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for uri in uris:
            match = _URI.fullmatch(uri)
            assert match, uri
            wanted[match["file"]].append((int(match["offset"]), int(match["size"]), uri))
        for name in sorted(wanted):
            with self._opened(name) as tar:
                for offset, size, uri in sorted(wanted[name]):
                    yield uri, partial(bytes, _bytes_at(tar, name, offset, size))

    @contextmanager
    def _opened(self, name: str) -> Iterator[tarfile.TarFile]:
        try:
            with tarfile.open(self.root / name) as tar:
                yield tar
        except (tarfile.TarError, FileNotFoundError, EOFError) as error:
            raise UserError(f"{self.root / name} cannot be read as a tar file: {error}") from None


def _items(tar: tarfile.TarFile, name: str, group: list[tarfile.TarInfo], split: Split | None) -> Iterator[Item]:
    """The image of one WebDataset sample, or every file of a label's folder."""
    labels = [member for member in group if _extension(member.name) == "cls"]
    if not labels:
        for member in group:
            place = place_of(member.name.removeprefix("./"))
            if place:
                yield _item(tar, name, member, place.label, place.split or split)
        return
    images = [member for member in group if _extension(member.name) not in _NO_IMAGES]
    if len(images) != 1:
        raise UserError(
            f"sample {_sample(group[0].name)} in {name} has {len(images)} images beside its label; it must be one"
        )
    label = _bytes_at(tar, name, labels[0].offset_data, labels[0].size).decode().strip()
    yield _item(tar, name, images[0], label, split)


def _item(tar: tarfile.TarFile, name: str, member: tarfile.TarInfo, label: str, split: Split | None) -> Item:
    content = _bytes_at(tar, name, member.offset_data, member.size)
    uri = f"{name}#{member.offset_data}+{member.size}/{member.name.removeprefix('./')}"
    return Item(uri, label, split, partial(bytes, content))


def _bytes_at(tar: tarfile.TarFile, name: str, offset: int, size: int) -> bytes:
    stream = tar.fileobj
    assert stream is not None
    stream.seek(offset)
    content = stream.read(size)
    if len(content) != size:
        raise UserError(f"{name} ends in the middle of a file; copy it again")
    return content


def _sample(name: str) -> str:
    """A WebDataset sample's key: the path up to the first dot of its last part."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def _extension(name: str) -> str:
    return PurePosixPath(name).name.partition(".")[2].lower()
