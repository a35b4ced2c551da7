"""What tar and zip files share: one folder per label, a table of labels, or WebDataset samples with theirs beside them."""

import json
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import PurePosixPath

from rectok.data.data_config import Split
from rectok.data.sources.archive_label import OwnName
from rectok.data.sources.image_source import Item, split_in
from rectok.data.sources.labels import Labels, label_of
from rectok.errors import UserError
from rectok.storage import below

_SIDECARS = ("cls", "json", "txt")
_URI = re.compile(r"(?P<file>.+?)#(?P<where>[\d+]*)/(?P<member>.*)", re.DOTALL)


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name, how to find it again (digits and +), and its content."""

    name: str
    where: str
    read: Callable[[], bytes]


class Archive(ABC):
    """Images inside the archives `names` below `root` (local or s3://); uris are `file#where/member`."""

    def __init__(self, root: str, names: Sequence[str]) -> None:
        self.root, self.names = root, names

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Archives name no order of their classes."""
        return ()

    def items(self, labels: Labels) -> Iterator[Item]:
        """Every image, in the order of the files."""
        for name in self.names:
            with self._members(name) as members:
                groups = (list(group) for _, group in groupby(members, key=lambda member: _sample(member.name)))
                yield from self._labelled(name, groups, labels)

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it), file by file and forward inside each file."""
        wanted: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for uri in uris:
            match = _URI.fullmatch(uri)
            assert match, uri
            wanted[match["file"]].append((match["where"], match["member"], uri))
        for name in sorted(wanted):
            yield from self._again(name, wanted[name])

    def _labelled(self, name: str, groups: Iterator[list[Member]], labels: Labels) -> Iterator[Item]:
        """The images of one archive, each sample's own or by the archive's name."""
        split = split_in(name)
        own = OwnName(self.path(name), len(self.names) > 1 and labels.asked in ("auto", "folders"))
        for group in groups:
            items = list(_items(name, group, split, labels))
            claimed = own.claimed([member.name for member in group], bool(items))
            yield from items
            yield from (_item(name, member, own.label, split) for member in group if member.name in claimed)

    def path(self, name: str) -> str:
        """The URI of an archive."""
        return below(self.root, name)

    @abstractmethod
    def _members(self, name: str) -> AbstractContextManager[Iterator[Member]]:
        """Every file of one archive, in its order; they can be read while it is open."""

    @abstractmethod
    def _again(self, name: str, wanted: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it) for every (where, member, uri) of one archive."""


def _items(name: str, group: list[Member], split: Split | None, labels: Labels) -> Iterator[Item]:
    """The image of one WebDataset sample, or every file that has a label."""
    label = _label_beside(name, group, labels)
    if label is None:
        for member in group:
            place = labels.place(member.name)
            if place:
                yield _item(name, member, place.label, place.split or split)
        return
    images = [member for member in group if _extension(member.name) not in _SIDECARS]
    if len(images) != 1:
        raise UserError(
            f"sample {_sample(group[0].name)} in {name} has {len(images)} images beside its label; it must be one"
        )
    yield _item(name, images[0], label, split)


def _label_beside(name: str, group: Sequence[Member], labels: Labels) -> str | None:
    """What a sample's .cls or .json member says, where that is asked for; None where folders or a table are to say it."""
    beside = {_extension(member.name): member for member in group}
    if labels.column:
        return _json_label(name, group, beside.get("json"), labels.column)
    if labels.asked != "auto":
        return None
    if "cls" in beside:
        return beside["cls"].read().decode(errors="replace").strip()
    if "json" in beside and len(group) > 1:
        found = _parsed(name, beside["json"]).get("label")
        return None if found is None else label_of(found, f"{beside['json'].name} in {name}")
    return None


def _json_label(name: str, group: Sequence[Member], member: Member | None, column: str) -> str:
    record = {} if member is None else _parsed(name, member)
    if column not in record:
        raise UserError(
            f"sample {_sample(group[0].name)} in {name} has no .json beside it with a key {column!r}, as index.labels asks"
        )
    return label_of(record[column], f"{member.name if member else ''} in {name}")


def _parsed(name: str, member: Member) -> dict[str, object]:
    try:
        found = json.loads(member.read())
    except ValueError as error:
        raise UserError(f"{member.name} in {name} cannot be read as JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _item(name: str, member: Member, label: str, split: Split | None) -> Item:
    content = member.read()
    return Item(f"{name}#{member.where}/{member.name}", label, split, partial(bytes, content))


def _sample(name: str) -> str:
    """A WebDataset sample's key: the path up to the first dot of its last part."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def _extension(name: str) -> str:
    return PurePosixPath(name).name.partition(".")[2].lower()
