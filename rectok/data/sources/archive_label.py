"""The label of an archive that holds one class, as ImageNet's `train/n01440764.tar` does: its own name."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from rectok.data.sources.image_source import is_hidden, split_in
from rectok.data.sources.source_folder import kind_of, without_ending
from rectok.errors import UserError

_PART = re.compile(r"(?!n\d{8}$).*\d")
"""A name that ends in a number is that of a part, as `images-0001` is; WordNet's identifiers are ImageNet's labels."""


class OwnName:
    """Whether the name of the archive `path` is its images' label: where it `may` be, and the first image has no other."""

    def __init__(self, path: str, may: bool) -> None:
        self.path, self.may = path, may
        self.counts: bool | None = None
        self.first = ""

    @property
    def label(self) -> str:
        """The archive's name without its ending. Raises UserError for one that tells of a split or of a part."""
        name = PurePosixPath(self.path).name
        label = without_ending(name)
        if split_in(name) or _PART.fullmatch(label):
            raise UserError(
                f"{self.path} holds images without a label, and its name is that of a split or a part; put them into one "
                "folder per label, or name a table in index.labels"
            )
        return label

    def claimed(self, names: Sequence[str], labelled: bool) -> list[str]:
        """Those of a sample's files that the archive's name labels. Raises UserError where others of it have a label."""
        bare = [] if labelled or not self.may else [name for name in names if _is_bare_image(name)]
        if self.counts is None and (labelled or bare):
            self.counts, self.first = bool(bare), names[0]
        if self.counts and labelled:
            raise UserError(
                f"{self.path} holds {self.first}, which has no label, and then {names[0]}, which has one; move the former "
                "away, or put it into its label's folder"
            )
        return bare if self.counts else []


def _is_bare_image(name: str) -> bool:
    return "/" not in name and kind_of(name) == "image" and not is_hidden(name)
