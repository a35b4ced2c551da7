"""From a source to an index: every distinct image with its key, class, split and shard.

All choices follow from content hashes. An added image changes the file of its own shard and, through the boundary between
splits, at most other images of its own class in that shard.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rectok.data.catalogue import Catalogue, Cell, Counts, Found
from rectok.data.data_config import SPLITS, IndexConfig, Split
from rectok.data.parallel_map import map_in_threads, threads_for
from rectok.data.sources.image_source import Item, Source
from rectok.data.sources.labels import Labels
from rectok.data.tables import IndexRow
from rectok.errors import UserError

KEY_DIGITS = 16
HELD_OUT: tuple[Split, ...] = ("val", "test")


@dataclass(frozen=True)
class Index:
    """Class names (a label is a position among them), counts to look at, and the rows of every shard."""

    config: IndexConfig
    catalogue: Catalogue
    shares: Mapping[Split, float]
    classes: Sequence[str]
    summary: Mapping[str, Any]

    def rows(self, shard: str) -> Iterator[IndexRow]:
        """The images of `shard` by key."""
        number = self.config.shards.index(shard)
        label_of = {name: label for label, name in enumerate(self.classes)}
        bounds = {
            cell.label: boundaries(cell.images, self.shares, _name(shard, cell.label))
            for cell in self.catalogue.cells(number)
            if cell.split not in HELD_OUT
        }
        met: Counter[str] = Counter()
        for image in self.catalogue.of_shard(number):
            split = image.split
            if split not in HELD_OUT:
                split = _split_at(met[image.label], bounds[image.label])
                met[image.label] += 1
            yield IndexRow(
                key=image.sha256[:KEY_DIGITS],
                uri=image.uri,
                label=label_of[image.label],
                split=split,
                bytes=image.bytes,
                sha256=image.sha256,
            )


@contextmanager
def build_index(source: Source, labels: Labels, config: IndexConfig) -> Iterator[Index]:
    """Index `source` as `config` says; the index lies on disk, as long as it is open.

    Raises UserError when the source is empty, has one class only, or a class with one image.
    """
    with closing(Catalogue()) as catalogue:
        found = map_in_threads(_found, source.items(labels), threads_for(config.source))
        catalogue.fill((_shard_number(image.sha256, len(config.shards)), image) for image in found)
        labels.check_complete()
        counts = catalogue.settle()
        if not counts.found:
            raise UserError(f"index.source {config.source} holds no images; {_HINTS.get(labels.asked, _LISTED_HINT)}")
        _check_classes(catalogue.per_label(), config.source)
        if config.limit:
            catalogue.keep_first(config.limit)
        classes = _ordered(catalogue.per_label(), source.classes(labels))
        shares = _shares(catalogue, config)
        summary = _summary(catalogue, counts, labels.unlisted, config, classes, shares)
        yield Index(config, catalogue, shares, classes, summary)


_HINTS = {"auto": "put them into one folder per label", "folders": "put them into one folder per label"}
_LISTED_HINT = "or none that index.labels gives a label"


def shard_of(sha256: str, shards: Sequence[str]) -> str:
    """The shard that a content hash falls into; its last digits decide, for its first ones order the images."""
    return shards[_shard_number(sha256, len(shards))]


def _shard_number(sha256: str, shards: int) -> int:
    return int(sha256[-12:], 16) % shards


def boundaries(images: int, shares: Mapping[Split, float], cell: str) -> list[tuple[Split, int]]:
    """Cut one cell's `images` in the order of their hashes: (split, end of its part) for `shares` that sum below 1.

    What follows the last end is train. An end lies at floor(images·cumulative share + u), u ∈ [0, 1) drawn from the cell's
    name: counts are right on average even where a cell is so small that rounding would always favour train.
    """
    u = int(hashlib.sha256(cell.encode()).hexdigest()[:12], 16) / 16**12
    cumulative, ends = 0.0, []
    for split, share in shares.items():
        cumulative += share
        ends.append((split, int(images * cumulative + u)))
    return ends


def _split_at(place: int, ends: Sequence[tuple[Split, int]]) -> Split:
    return next((split for split, end in ends if place < end), "train")


def _name(shard: str, label: str) -> str:
    return f"{shard}|{label}"


def _found(item: Item) -> Found:
    content = item.read()
    try:
        item.uri.encode()
    except UnicodeEncodeError:
        raise UserError(f"the file name {item.uri!r} is not UTF-8; rename it") from None
    return Found(item.uri, item.label, item.split, len(content), hashlib.sha256(content).hexdigest())


def _check_classes(counts: Mapping[str, int], source: str) -> None:
    if len(counts) == 1:
        raise UserError(
            f"index.source {source} holds only one class ({next(iter(counts))}); put at least two labels into it"
        )
    single = [label for label, count in counts.items() if count == 1]
    if single:
        raise UserError(f"class {single[0]} of index.source {source} has a single image; every class needs two or more")


def _ordered(labels: Iterable[str], given: Sequence[str]) -> list[str]:
    """Labels in the source's own order, else numbers by value, else by name."""
    known = set(labels)
    if given:
        return [label for label in given if label in known]
    if all(label.isdecimal() for label in known):
        return sorted(known, key=int)
    return sorted(known)


def _shares(catalogue: Catalogue, config: IndexConfig) -> dict[Split, float]:
    """What is cut from the images outside of val and test: shares of the splits that the source does not name."""
    given = catalogue.splits()
    if None in given and len(given) > 1:
        raise UserError(
            f"index.source {config.source} names splits, but {catalogue.first_outside()} lies outside of them; move or "
            "remove it"
        )
    if "train" not in given and None not in given:
        raise UserError(f"index.source {config.source} names splits, but none is train; add it or name none")
    asked: dict[Split, float] = {"test": config.split.test, "val": config.split.val}
    return {split: share for split, share in asked.items() if split not in given}


def _summary(
    catalogue: Catalogue,
    counts: Counts,
    unlisted: int,
    config: IndexConfig,
    classes: Sequence[str],
    shares: Mapping[Split, float],
) -> dict[str, Any]:
    per_class: Counter[tuple[str, Split]] = Counter()
    per_shard: Counter[str] = Counter()
    size = 0
    for cell in catalogue.cells():
        shard = config.shards[cell.shard]
        per_shard[shard] += cell.images
        size += cell.bytes
        for split, images in _counted(cell, boundaries(cell.images, shares, _name(shard, cell.label))):
            per_class[cell.label, split] += images
    return {
        "found": counts.found,
        "unlisted": unlisted,
        "duplicates": counts.found - counts.distinct,
        "contradictory": counts.contradictory,
        "images": per_shard.total(),
        "bytes": size,
        "shards": {shard: per_shard[shard] for shard in config.shards},
        "splits": {split: sum(per_class[name, split] for name in classes) for split in SPLITS},
        "classes": {name: {split: per_class[name, split] for split in SPLITS} for name in classes},
    }


def _counted(cell: Cell, ends: Sequence[tuple[Split, int]]) -> Iterator[tuple[Split, int]]:
    """How many images of a cell come into which split."""
    if cell.split in HELD_OUT:
        yield cell.split, cell.images
        return
    start = 0
    for split, end in (*ends, ("train", cell.images)):
        yield split, end - start
        start = end
