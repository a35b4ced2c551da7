"""The interface of every source of images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from rectok.data.data_config import Split
from rectok.data.sources.labels import Labels
from rectok.data.sources.names import Annotation
from rectok.storage.objects import below

Readable = tuple[str, Callable[[], bytes]]
"""The uri of an image, and a function that reads the image."""


@dataclass(frozen=True)
class SourceImage:
    """One image: its `uri` below the source, the name of its class, and its split if the source names one.

    `folder` stands for a label that folders give (rectok.data.sources.folder_labels). The name of an `uncertain` file does not
    say whether it is an image.
    """

    uri: str
    label: str
    split: Split | None
    read: Callable[[], bytes]
    folder: str = ""
    uncertain: bool = False


def annotated(
    uri: str, annotation: Annotation, split: Split | None, read: Callable[[], bytes], uncertain: bool = False
) -> SourceImage:
    """An image with the label of `annotation`, and its split or else `split`."""
    return SourceImage(uri, annotation.label, annotation.split or split, read, annotation.folder, uncertain)


class ImageSource(Protocol):
    """Images in a fixed order, with random access by uri."""

    @property
    def packed(self) -> bool:
        """Whether several images lie in one file."""

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Class names in the order of the source, all different. Empty if it gives none."""

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every image that has a label. Raises UserError if the source cannot have such labels."""

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris`, in the order in which the source is fastest to read."""


class PackedFiles:
    """Files below `root` (local or s3://) that hold many images each. `list_names` lists them, at most once.

    `choice` is `index.image`: which of several images is meant.
    """

    packed = True

    def __init__(self, root: str, list_names: Callable[[], list[str]], choice: str = "") -> None:
        self.root, self._list_names, self.choice = root, list_names, choice

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """No order of the classes, unless a subclass knows one."""
        return ()

    @cached_property
    def names(self) -> list[str]:
        """Names of the files, in order. Only the index needs them, since a uri names its file."""
        return self._list_names()

    def path(self, name: str) -> str:
        """The URI of one file."""
        return below(self.root, name)
