"""One file per image, below a folder or an s3:// prefix."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rectok.data.sources.image_source import Item, is_hidden
from rectok.data.sources.labels import Labels
from rectok.data.sources.source_folder import OneKind
from rectok.errors import UserError
from rectok.storage import below, list_files, read_bytes


@dataclass(frozen=True)
class Files:
    """Image files; uris are relative to `root`, in the order of their names. Labels come from folders or from a table.

    `only` knows what was met there so far, and refuses archives and parquet files among them.
    """

    root: str
    only: OneKind

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Files name no order of their classes."""
        return ()

    def items(self, labels: Labels) -> Iterator[Item]:
        """Every file that has a label, whether it is an image or not, in one listing, which is never held."""
        if labels.column:
            raise UserError(
                f"index.labels {labels.asked} needs a table, but index.source {self.root} holds single files"
            )
        for file in list_files(self.root):
            if is_hidden(file.name):
                continue
            self.only.meet(file.name)
            if place := labels.place(file.name):
                yield Item(file.name, place.label, place.split, partial(self._whole, file.name, file.size))

    def read(self, uris: Sequence[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """(uri, how to read it), in the order asked for."""
        for uri in uris:
            yield uri, partial(read_bytes, below(self.root, uri))

    def _whole(self, name: str, size: int) -> bytes:
        content = read_bytes(below(self.root, name))
        if len(content) != size:
            raise UserError(
                f"{below(self.root, name)} had {size} bytes and now has {len(content)}; run the stage again when the "
                "source is complete"
            )
        return content
