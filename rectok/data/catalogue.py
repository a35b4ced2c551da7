"""All images of a source in a temporary database on disk. A million of them need no more memory than a thousand."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rectok.data.data_config import Split
from rectok.data.sources.names import Annotation

CACHE_KIB = 32 * 1024
"""The part of the database that memory holds."""
_SPLIT_RANK: tuple[Split | None, ...] = ("test", "val", "train", None)
"""Of equal images in several splits the first by this order stays, so that a published test set remains whole."""


@dataclass(frozen=True, slots=True)
class HashedImage:
    """An image of the source with the size and hash of its content."""

    uri: str
    label: str
    split: Split | None
    bytes: int
    sha256: str
    folder: str = ""
    """Stands for the label until all folders of the source are known."""
    parameters: tuple[str, ...] | None = None
    """Parameters that decide how the image is shown (rectok.data.image_headers). None if its header was not read."""


@dataclass(frozen=True)
class CatalogueCounts:
    """Numbers of images, of distinct contents, and of contents with more than one label."""

    images: int
    distinct: int
    contradictory: int


@dataclass(frozen=True)
class Stratum:
    """The images of one label in one shard, by the split that the source names for them."""

    shard: int
    label: str
    split: Split | None
    images: int
    bytes: int


class Catalogue:
    """Call `add_all`, `label_folders` and `deduplicate` once each, then read. `close` removes it from the disk."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in (f"cache_size = -{CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        columns = "shard INT, sha256 BLOB, rank INT, uri TEXT, label TEXT, split TEXT, bytes INT, folder TEXT"
        self._database.execute(f"CREATE TABLE source ({columns})")

    def close(self) -> None:
        """Remove it."""
        self._database.close()

    def add_all(self, images: Iterable[tuple[int, HashedImage]]) -> None:
        """Add all (number of the shard, image)."""
        rows = (
            (shard, bytes.fromhex(image.sha256), _SPLIT_RANK.index(image.split), image.uri, image.label, image.split, image.bytes,
             image.folder)
            for shard, image in images
        )  # fmt: skip
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO source VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")

    def folders(self) -> list[str]:
        """The folders that stand for labels."""
        rows = self._database.execute("SELECT DISTINCT folder FROM source WHERE folder != '' ORDER BY folder")
        return [folder for (folder,) in rows]

    def label_folders(self, annotations: Mapping[str, Annotation | None]) -> list[str]:
        """Give the images of every folder their label, and a split if the folder names one. Remove those of a folder with None.

        Returns the uris of the removed images.
        """
        self._database.execute(
            "CREATE TEMP TABLE folder (name TEXT PRIMARY KEY, label TEXT, split TEXT, rank INT) WITHOUT ROWID"
        )
        rows = ((name, a.label, a.split, _SPLIT_RANK.index(a.split)) for name, a in annotations.items() if a)
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO folder VALUES (?, ?, ?, ?)", rows)
        self._database.execute(
            "UPDATE source SET label = folder.label, split = coalesce(folder.split, source.split), "
            "rank = CASE WHEN folder.split IS NULL THEN source.rank ELSE folder.rank END "
            "FROM folder WHERE source.folder = folder.name"
        )
        outside = "folder != '' AND label = ''"
        removed = [uri for (uri,) in self._database.execute(f"SELECT uri FROM source WHERE {outside} ORDER BY uri")]
        self._database.execute(f"DELETE FROM source WHERE {outside}")
        self._database.execute("COMMIT")
        return removed

    def deduplicate(self) -> CatalogueCounts:
        """Keep one image of every content, in the order of hashes. Row numbers have that order from now on."""
        images = self._one("SELECT count(*) FROM source")
        contradictory = self._one(
            "SELECT count(*) FROM (SELECT 1 FROM source GROUP BY sha256 HAVING min(label) < max(label))"
        )
        self._database.execute(
            "CREATE TABLE image AS SELECT shard, sha256, uri, label, split, bytes FROM (SELECT *, row_number() OVER "
            "(PARTITION BY sha256 ORDER BY rank, uri) AS place FROM source) WHERE place = 1 ORDER BY sha256"
        )
        self._database.execute("DROP TABLE source")
        self._database.execute("CREATE INDEX by_shard ON image (shard)")
        return CatalogueCounts(images, self._one("SELECT count(*) FROM image"), contradictory)

    def truncate(self, count: int) -> None:
        """Remove all but the first `count` images by hash."""
        self._database.execute("DELETE FROM image WHERE rowid > ?", (count,))

    def images_per_label(self) -> dict[str, int]:
        """The number of images of every label."""
        return dict(self._database.execute("SELECT label, count(*) FROM image GROUP BY label ORDER BY label"))

    def strata(self, shard: int | None = None) -> Iterator[Stratum]:
        """Every stratum that has images, or those of one shard."""
        where, values = ("", ()) if shard is None else ("WHERE shard = ?", (shard,))
        rows = self._database.execute(
            f"SELECT shard, label, split, count(*), sum(bytes) FROM image {where} GROUP BY shard, label, split", values
        )
        yield from (Stratum(*row) for row in rows)

    def splits(self) -> set[Split | None]:
        """The splits that the source names, and None if images lie outside of them."""
        return {split for (split,) in self._database.execute("SELECT DISTINCT split FROM image")}

    def first_without_split(self) -> str:
        """The first uri of an image that lies in no split."""
        uri: str = self._one("SELECT min(uri) FROM image WHERE split IS NULL")
        return uri

    def images(self, shard: int) -> Iterator[HashedImage]:
        """The images of a shard in the order of their hashes."""
        rows = self._database.execute(
            "SELECT uri, label, split, bytes, lower(hex(sha256)) FROM image WHERE shard = ? ORDER BY rowid", (shard,)
        )
        yield from (HashedImage(*row) for row in rows)

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]
