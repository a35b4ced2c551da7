"""One file per image, below a folder or an s3:// prefix."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rectok.data.sources.image_source import Readable, SourceImage
from rectok.data.sources.labels import Labels
from rectok.data.sources.source_folder import SourceFolder
from rectok.errors import UserError
from rectok.storage.objects import below, read_bytes
from rectok.storage.s3 import StoredFile


@dataclass(frozen=True)
class ImageFiles:
    """Image files. Their uris are relative to the folder. Their labels come from folders or from a table."""

    folder: SourceFolder

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Files name no order of their classes."""
        return ()

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every file that has a label, even if it is no image, in the order of names."""
        if labels.column:
            raise UserError(
                f"index.labels {labels.setting} needs a table, but index.source {self.folder.root} holds single files"
            )
        for file in self.folder.files():
            if annotation := labels.annotate(file.name):
                yield SourceImage(file.name, annotation.label, annotation.split, partial(self._whole, file))

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris` in their order."""
        for uri in uris:
            yield uri, partial(read_bytes, below(self.folder.root, uri))

    def _whole(self, file: StoredFile) -> bytes:
        path = below(self.folder.root, file.name)
        content = read_bytes(path)
        if len(content) != file.size:
            raise UserError(
                f"{path} had {file.size} bytes and now has {len(content)}; run the stage again when the source is complete"
            )
        return content
