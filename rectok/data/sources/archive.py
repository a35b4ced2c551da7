"""What tar and zip files share. Labels are folders, a table, or lie beside each image of a WebDataset sample."""

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
from rectok.data.sources.archive_label import ArchiveLabel
from rectok.data.sources.image_source import PackedFiles, Readable, SourceImage
from rectok.data.sources.labels import Labels, label_of
from rectok.data.sources.names import split_in
from rectok.errors import UserError

_SIDECARS = ("cls", "json", "txt")
_URI = re.compile(r"(?P<file>.+?)#(?P<position>[\d+]*)/(?P<member>.*)", re.DOTALL)


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive: its name, its position for random access (digits and +), and a function that reads it."""

    name: str
    position: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class MemberUri:
    """An image's uri, taken apart."""

    uri: str
    position: str
    member: str


class Archives(PackedFiles, ABC):
    """Images in archives. A uri is `archive#position/member`."""

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every image that has a label, archive by archive. One of several archives may label its images by its name."""
        for name in self.names:
            split = split_in(name)
            archive_label = ArchiveLabel(self.path(name), len(self.names) > 1 and labels.setting in ("auto", "folders"))
            with self._members(name) as members:
                for _, group in groupby(members, key=lambda member: _sample(member.name)):
                    sample = list(group)
                    images = list(_images(name, sample, split, labels))
                    bare = archive_label.labels([member.name for member in sample], bool(images))
                    yield from images
                    yield from (_image(name, m, archive_label.label, split) for m in sample if m.name in bare)

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris`, archive by archive and forward inside each."""
        by_archive: dict[str, list[MemberUri]] = defaultdict(list)
        for uri in uris:
            match = _URI.fullmatch(uri)
            assert match, uri
            by_archive[match["file"]].append(MemberUri(uri, match["position"], match["member"]))
        for name in sorted(by_archive):
            yield from self._read_members(name, by_archive[name])

    @abstractmethod
    def _members(self, name: str) -> AbstractContextManager[Iterator[ArchiveMember]]:
        """Every file of one archive in its order, readable while the archive is open."""

    @abstractmethod
    def _read_members(self, name: str, members: Sequence[MemberUri]) -> Iterator[Readable]:
        """The images at `members` of one archive."""


def _images(name: str, sample: list[ArchiveMember], split: Split | None, labels: Labels) -> Iterator[SourceImage]:
    """The image of one WebDataset sample, or every file that folders or a table label."""
    label = _sidecar_label(name, sample, labels)
    if label is None:
        for member in sample:
            if annotation := labels.annotate(member.name):
                yield _image(name, member, annotation.label, annotation.split or split)
        return
    images = [member for member in sample if _extension(member.name) not in _SIDECARS]
    if len(images) != 1:
        raise UserError(
            f"sample {_sample(sample[0].name)} in {name} has {len(images)} images beside its label; it must be one"
        )
    yield _image(name, images[0], label, split)


def _sidecar_label(name: str, sample: Sequence[ArchiveMember], labels: Labels) -> str | None:
    """The label in a sample's .cls or .json. None if the sample has none, or if labels come from folders or a table."""
    sidecars = {_extension(member.name): member for member in sample}
    record = sidecars.get("json")
    if labels.column:
        fields = _parse_json(name, record) if record else {}
        if record is None or labels.column not in fields:
            raise UserError(
                f"sample {_sample(sample[0].name)} in {name} has no .json beside it with a key {labels.column!r}, as "
                "index.labels asks"
            )
        return label_of(fields[labels.column], f"{record.name} in {name}")
    if labels.setting != "auto":
        return None
    if "cls" in sidecars:
        return sidecars["cls"].read().decode(errors="replace").strip()
    label = _parse_json(name, record).get("label") if record and len(sample) > 1 else None
    return None if record is None or label is None else label_of(label, f"{record.name} in {name}")


def _parse_json(name: str, member: ArchiveMember) -> dict[str, object]:
    try:
        record = json.loads(member.read())
    except ValueError as error:
        raise UserError(f"{member.name} in {name} cannot be read as JSON: {error}") from None
    return record if isinstance(record, dict) else {}


def _image(name: str, member: ArchiveMember, label: str, split: Split | None) -> SourceImage:
    content = member.read()
    return SourceImage(f"{name}#{member.position}/{member.name}", label, split, partial(bytes, content))


def _sample(name: str) -> str:
    """A WebDataset sample's key: the path up to the first dot of its last part."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def _extension(name: str) -> str:
    return PurePosixPath(name).name.partition(".")[2].lower()
