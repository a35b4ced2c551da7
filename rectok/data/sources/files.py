"""One file per image, below a folder or an s3:// prefix."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rectok.data.sources.item import Item, place_of
from rectok.storage import list_files, read_bytes


@dataclass(frozen=True)
class Files:
    """`root/label/file` or `root/train|val|test/label/file`; uris are relative to `root`, in the order of their names."""

    root: str
    classes: tuple[str, ...] = ()

    def items(self) -> Iterator[Item]:
        """Every file in a label's folder, whether it is an image or not."""
        for file in list_files(self.root):
            place = place_of(file.name)
            if place:
                yield Item(file.name, place.label, place.split, partial(self._content, file.name))

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it), in the order asked for."""
        for uri in uris:
            yield uri, partial(self._content, uri)

    def _content(self, uri: str) -> bytes:
        return read_bytes(f"{self.root.rstrip('/')}/{uri}")
