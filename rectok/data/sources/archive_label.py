"""The name of an archive as the label of its images, for archives of one class such as ImageNet's `train/n01440764.tar`."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from rectok.data.sources.names import is_hidden, kind_of, split_in, without_ending
from rectok.errors import UserError

_PART = re.compile(r"(?!n\d{8}$).*\d")
"""The name of one part of many, such as `images-0001`, ends in a digit. A WordNet identifier is a label of ImageNet."""


class ArchiveLabel:
    """Labels the images of the archive `path` by its name, if that is `allowed` and its first image has no other label."""

    def __init__(self, path: str, allowed: bool) -> None:
        self.path, self.allowed = path, allowed
        self.applies: bool | None = None
        """None until the first image."""
        self.first = ""

    @property
    def label(self) -> str:
        """The archive's name without its ending. Raises UserError for the name of a split or of one part of many."""
        name = PurePosixPath(self.path).name
        label = without_ending(name)
        if split_in(name) or _PART.fullmatch(label):
            raise UserError(
                f"{self.path} holds images without a label, and its name is that of a split or a part; put them into one "
                "folder per label, name a table in index.labels, or set index.labels to none"
            )
        return label

    def labels(self, names: Sequence[str], labelled: bool) -> list[str]:
        """The files of a sample that the archive's name labels; none if the sample is `labelled` otherwise.

        Raises UserError for a labelled sample after one without a label.
        """
        bare = [] if labelled or not self.allowed else [name for name in names if is_bare_image(name)]
        if self.applies is None and (labelled or bare):
            self.applies, self.first = bool(bare), names[0]
        if self.applies and labelled:
            raise UserError(
                f"{self.path} holds {self.first}, which has no label, and then {names[0]}, which has one; move the former "
                "away, or put it into its label's folder"
            )
        return bare if self.applies else []


def is_bare_image(name: str) -> bool:
    """Whether an image in an archive lies in no folder."""
    return "/" not in name and kind_of(name) == "image" and not is_hidden(name)
