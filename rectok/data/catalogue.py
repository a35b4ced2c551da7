"""Every image that was found, in a temporary database on disk: a million of them cost no more memory than a thousand."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rectok.data.data_config import Split

CACHE_KIB = 32 * 1024
"""Of the database that is kept in memory."""
_KEPT_FIRST: tuple[Split | None, ...] = ("test", "val", "train", None)
"""Of two equal images in different splits the held-out one stays, so that a published test set remains whole."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image of the source with its content's size and hash."""

    uri: str
    label: str
    split: Split | None
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Counts:
    """How many images were found, how many contents they have, and how many of these have more than one label."""

    found: int
    distinct: int
    contradictory: int


@dataclass(frozen=True)
class Cell:
    """The images of one label in one shard, by the split that the source names for them."""

    shard: int
    label: str
    split: Split | None
    images: int
    bytes: int


class Catalogue:
    """Filled once, settled once, then read. Its file is gone when it is closed."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in (f"cache_size = -{CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        columns = "shard INT, sha256 BLOB, rank INT, uri TEXT, label TEXT, split TEXT, bytes INT"
        self._database.execute(f"CREATE TABLE found ({columns})")

    def close(self) -> None:
        """Remove it."""
        self._database.close()

    def fill(self, images: Iterable[tuple[int, Found]]) -> None:
        """Take all images, each with the number of its shard."""
        rows = (
            (shard, bytes.fromhex(image.sha256), _KEPT_FIRST.index(image.split), image.uri, image.label, image.split, image.bytes)
            for shard, image in images
        )  # fmt: skip
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")

    def settle(self) -> Counts:
        """Keep one image of every content, in the order of hashes, which is that of row numbers from now on."""
        found = self._one("SELECT count(*) FROM found")
        contradictory = self._one(
            "SELECT count(*) FROM (SELECT 1 FROM found GROUP BY sha256 HAVING min(label) < max(label))"
        )
        self._database.execute(
            "CREATE TABLE image AS SELECT shard, sha256, uri, label, split, bytes FROM (SELECT *, row_number() OVER "
            "(PARTITION BY sha256 ORDER BY rank, uri) AS place FROM found) WHERE place = 1 ORDER BY sha256"
        )
        self._database.execute("DROP TABLE found")
        self._database.execute("CREATE INDEX by_shard ON image (shard)")
        return Counts(found, self._one("SELECT count(*) FROM image"), contradictory)

    def keep_first(self, count: int) -> None:
        """Drop all but the first `count` by hash."""
        self._database.execute("DELETE FROM image WHERE rowid > ?", (count,))

    def per_label(self) -> dict[str, int]:
        """Images of every label, by its name."""
        return dict(self._database.execute("SELECT label, count(*) FROM image GROUP BY label ORDER BY label"))

    def cells(self, shard: int | None = None) -> Iterator[Cell]:
        """Every cell that has images, or those of one shard."""
        where, values = ("", ()) if shard is None else ("WHERE shard = ?", (shard,))
        rows = self._database.execute(
            f"SELECT shard, label, split, count(*), sum(bytes) FROM image {where} GROUP BY shard, label, split", values
        )
        yield from (Cell(*row) for row in rows)

    def splits(self) -> set[Split | None]:
        """Splits that the source names, None for images outside of them."""
        return {split for (split,) in self._database.execute("SELECT DISTINCT split FROM image")}

    def first_outside(self) -> str:
        """Of the images that lie in no split, the first by name."""
        uri: str = self._one("SELECT min(uri) FROM image WHERE split IS NULL")
        return uri

    def of_shard(self, shard: int) -> Iterator[Found]:
        """The images of a shard in the order of their hashes."""
        rows = self._database.execute(
            "SELECT uri, label, split, bytes, lower(hex(sha256)) FROM image WHERE shard = ? ORDER BY rowid", (shard,)
        )
        yield from (Found(*row) for row in rows)

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]
