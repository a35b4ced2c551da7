"""One file per image, below a folder or an s3:// prefix."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from rectok.data.sources.containment import Links
from rectok.data.sources.image_source import Readable, SourceImage, annotated
from rectok.data.sources.labels import Labels
from rectok.data.sources.metadata_tables import is_metadata, open_metadata
from rectok.data.sources.names import kind_of
from rectok.data.sources.source_folder import STATISTICS, SourceFolder
from rectok.errors import UserError
from rectok.storage.objects import below, read_bytes
from rectok.storage.s3 import StoredFile


@dataclass(frozen=True)
class ImageFiles:
    """Image files. Their uris are relative to the folder. Their labels come from folders or from tables."""

    packed: ClassVar[bool] = False
    folder: SourceFolder

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """Files name no order of their classes."""
        return ()

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every file that has a label, in the order of names."""
        tables = self.folder.metadata_names() if labels.setting == "auto" or labels.column else []
        if labels.column and not tables:
            raise UserError(
                f"index.labels {labels.setting} needs a table, but index.source {self.folder.root} holds single files and no "
                "metadata.csv or metadata.jsonl"
            )
        with open_metadata(self.folder.root, tables, labels) as each:
            for file in self.folder.files():
                if is_metadata(file.name):
                    continue
                if labels.by_folders and each is labels:
                    self._require_classes(file.name)
                if annotation := each.annotate(file.name):
                    uncertain = kind_of(file.name) != "image"
                    yield annotated(file.name, annotation, None, partial(self._whole, file), uncertain)

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris` in their order."""
        links = Links(self.folder.root)
        for uri in uris:
            links.check(uri)
            yield uri, partial(read_bytes, below(self.folder.root, uri))

    def _require_classes(self, name: str) -> None:
        """Raises UserError at a file of statistics of img2dataset, whose folders are parts."""
        if "/" not in name and name.endswith(STATISTICS) and name.removesuffix(STATISTICS).isdecimal():
            raise UserError(
                f"index.source {self.folder.root} was written by img2dataset ({name}), whose folders are parts and no classes; "
                "set index.labels to none, or name a table of labels there"
            )

    def _whole(self, file: StoredFile) -> bytes:
        path = below(self.folder.root, file.name)
        content = read_bytes(path)
        if len(content) != file.size:
            raise UserError(
                f"{path} had {file.size} bytes and now has {len(content)}; run the stage again when the source is complete"
            )
        return content
