"""Samples of the WebDataset format: the files of an archive that follow each other and share a key."""

import json
import posixpath
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from rectok.data.sources.label_values import is_missing, label_of, number_in
from rectok.data.sources.labels import Labels
from rectok.data.sources.names import kind_of
from rectok.errors import UserError

SIDECARS = ("cls", "json", "txt")
FIRST_DOT = "the WebDataset format cuts names at the first dot, so"


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive: its name, its position for random access (digits and +), and a function that reads it.

    `link` is the name in the archive that a symbolic or hard link leads to. It may lead out.
    """

    name: str
    position: str
    read: Callable[[], bytes]
    link: str | None = None


def member_name(name: str) -> str:
    """The normal form of a name in an archive, without `./`."""
    return posixpath.normpath(name)


def key_of(name: str) -> str:
    """A sample's key: the path up to the first dot of its last part."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def extension_of(name: str) -> str:
    """What follows the first dot of a name, in lower case."""
    return PurePosixPath(name).name.partition(".")[2].lower()


@dataclass(frozen=True)
class Sample:
    """The `members` of one sample of the archive `name`."""

    name: str
    members: Sequence[ArchiveMember]

    @property
    def title(self) -> str:
        """Stands in sentences."""
        return f"sample {key_of(self.members[0].name)} in {self.name}"

    @cached_property
    def sidecars(self) -> dict[str, ArchiveMember]:
        """Labels, captions and records by extension."""
        return {extension: member for member in self.members if (extension := extension_of(member.name)) in SIDECARS}

    @cached_property
    def images(self) -> list[ArchiveMember]:
        """The files with the ending of an image. If there are none, all files but the sidecars."""
        others = [member for member in self.members if extension_of(member.name) not in SIDECARS]
        return [member for member in others if kind_of(member.name) == "image"] or others

    def label(self, labels: Labels) -> str | None:
        """The label in the sample's .cls or .json. None if it has none, or if labels come from elsewhere."""
        if labels.column:
            return self._label_in_column(labels)
        if labels.setting != "auto":
            return None
        if "cls" in self.sidecars:
            return self._label_in_cls(self.sidecars["cls"])
        dotted = next((m.name for m in self.members if extension_of(m.name).endswith(".cls")), None)
        if dotted and self.images:
            raise UserError(
                f"{FIRST_DOT} {dotted} in {self.name} labels no image; rename its files without further dots"
            )
        if "json" in self.sidecars and len(self.members) > 1:
            record = self._record()
            if "label" in record:
                return self._label_of(record["label"])
        return None

    def image(self, choice: str, beside: str = "") -> ArchiveMember:
        """The image of a sample that has one. `choice` is `index.image`. Raises UserError if it is not clear.

        `beside` says in the sentence what the sample has beside its image.
        """
        chosen = [member for member in self.images if not choice or extension_of(member.name) == choice.lower()]
        if len(chosen) == 1:
            return chosen[0]
        extensions = [extension_of(member.name) for member in self.images]
        names = ", ".join(extensions[:5]) or "none"
        if choice:
            raise UserError(f"{self.title} has {len(chosen)} images .{choice}, as index.image asks; it has {names}")
        if not extensions:
            raise UserError(f"{self.title} has 0 images{beside}; it must have one")
        dotted = f"; {FIRST_DOT} they are one sample" if all("." in extension for extension in extensions) else ""
        raise UserError(
            f"{self.title} has {len(extensions)} images{beside} ({names}{dotted}); name the one that is meant in index.image"
        )

    def _label_in_column(self, labels: Labels) -> str | None:
        record = self._record() if "json" in self.sidecars else {}
        if labels.column in record:
            return self._label_of(record[labels.column])
        if not any(kind_of(member.name) == "image" for member in self.members):
            return None
        raise UserError(f"{self.title} has no .json beside it with a key {labels.column!r}, as index.labels asks")

    def _label_in_cls(self, member: ArchiveMember) -> str:
        where = f"{member.name} ({self.title})"
        try:
            text = member.read().decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise UserError(f"{where} is no text in UTF-8; it must hold the label") from None
        if any(unicodedata.category(character) == "Cc" for character in text):
            raise UserError(f"{where} holds {text!r}, which is no text; it must hold the label")
        if is_missing(text):
            raise UserError(f"{where} holds no label ({text!r}); it must be text or a whole number")
        number = number_in(text)
        return text if number is None else str(number)

    def _label_of(self, value: object) -> str:
        return label_of(value, f"{self.sidecars['json'].name} in {self.name}")

    def _record(self) -> dict[str, object]:
        member = self.sidecars["json"]
        try:
            record = json.loads(member.read())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{member.name} in {self.name} cannot be read as JSON: {error}") from None
        return record if isinstance(record, dict) else {}
