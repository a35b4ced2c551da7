"""From a source to an index: every distinct image with its key, class, split and shard.

All choices follow from content hashes. An added image changes the file of its own shard and, through the boundary between
splits, at most other images of its own class in that shard.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rectok.data.config import SPLITS, IndexConfig, Split
from rectok.data.parallel import mapped
from rectok.data.sources.item import Item, Source
from rectok.data.tables import IndexRow
from rectok.errors import UserError

KEY_DIGITS = 16
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
class Index:
    """Rows of every shard by key, class names (a label is a position among them), and counts to look at."""

    shards: Mapping[str, Sequence[IndexRow]]
    classes: Sequence[str]
    summary: Mapping[str, Any]


def build_index(source: Source, config: IndexConfig) -> Index:
    """Index `source` as `config` says. Raises UserError when it is empty, has one class only, or a class with one image."""
    found = list(mapped(_found, source.items()))
    if not found:
        raise UserError(f"index.source {config.source} holds no images; put them into one folder per label")
    distinct = _distinct(found)
    _check_classes(distinct, config.source)
    kept = distinct[: config.limit] if config.limit else distinct
    classes = _ordered({image.label for image in kept}, source.classes)
    label_of = {name: label for label, name in enumerate(classes)}
    splits = _splits(kept, config)
    shards: dict[str, list[IndexRow]] = {shard: [] for shard in config.shards}
    for image in kept:
        row = IndexRow(
            key=image.sha256[:KEY_DIGITS],
            uri=image.uri,
            label=label_of[image.label],
            split=splits[image.sha256],
            bytes=image.bytes,
            sha256=image.sha256,
        )
        shards[shard_of(image.sha256, config.shards)].append(row)
    return Index(shards, classes, _summary(shards, classes, found, distinct))


def shard_of(sha256: str, shards: Sequence[str]) -> str:
    """The shard that a content hash falls into; its last digits decide, for its first ones order the images."""
    return shards[int(sha256[-12:], 16) % len(shards)]


def cut(hashes: Sequence[str], shares: Mapping[Split, float], cell: str) -> dict[str, Split]:
    """Split one cell's content hashes: in their order, n·share of each of `shares` (summing below 1), the rest to train.

    Boundaries lie at floor(n·cumulative share + u), u ∈ [0, 1) drawn from the cell's name: counts are right on average even
    where a cell is so small that rounding would always favour train.
    """
    u = int(hashlib.sha256(cell.encode()).hexdigest()[:12], 16) / 16**12
    ordered = sorted(hashes)
    splits: dict[str, Split] = dict.fromkeys(ordered, "train")
    cumulative, start = 0.0, 0
    for split, share in shares.items():
        cumulative += share
        stop = int(len(ordered) * cumulative + u)
        splits.update(dict.fromkeys(ordered[start:stop], split))
        start = stop
    return splits


def _found(item: Item) -> Found:
    content = item.read()
    return Found(item.uri, item.label, item.split, len(content), hashlib.sha256(content).hexdigest())


def _distinct(found: Iterable[Found]) -> list[Found]:
    """One image per content, in the order of hashes."""
    best = sorted(found, key=lambda image: (image.sha256, _KEPT_FIRST.index(image.split), image.uri))
    return list({image.sha256: image for image in reversed(best)}.values())[::-1]


def _check_classes(images: Sequence[Found], source: str) -> None:
    counts = Counter(image.label for image in images)
    if len(counts) == 1:
        raise UserError(
            f"index.source {source} holds only one class ({images[0].label}); put at least two labels into it"
        )
    single = sorted(label for label, count in counts.items() if count == 1)
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


def _splits(images: Sequence[Found], config: IndexConfig) -> dict[str, Split]:
    """The split of every content hash: the source's own, and where it names none of a kind, cut from the rest."""
    given = {image.split for image in images}
    if None in given and len(given) > 1:
        stray = min(image.uri for image in images if image.split is None)
        raise UserError(
            f"index.source {config.source} names splits, but {stray} lies outside of them; move or remove it"
        )
    if "train" not in given and None not in given:
        raise UserError(f"index.source {config.source} names splits, but none is train; add it or name none")
    asked: dict[Split, float] = {"test": config.split.test, "val": config.split.val}
    shares = {split: share for split, share in asked.items() if split not in given}
    splits: dict[str, Split] = {}
    cells: dict[str, list[str]] = defaultdict(list)
    for image in images:
        if image.split in ("val", "test"):
            splits[image.sha256] = image.split
        else:
            cells[f"{shard_of(image.sha256, config.shards)}|{image.label}"].append(image.sha256)
    for cell, hashes in cells.items():
        splits |= cut(hashes, shares, cell)
    return splits


def _summary(
    shards: Mapping[str, Sequence[IndexRow]],
    classes: Sequence[str],
    found: Sequence[Found],
    distinct: Sequence[Found],
) -> dict[str, Any]:
    rows = [row for part in shards.values() for row in part]
    per_class = Counter((row.label, row.split) for row in rows)
    labels_of: dict[str, set[str]] = defaultdict(set)
    for image in found:
        labels_of[image.sha256].add(image.label)
    return {
        "found": len(found),
        "duplicates": len(found) - len(distinct),
        "contradictory": sum(len(labels) > 1 for labels in labels_of.values()),
        "images": len(rows),
        "bytes": sum(row.bytes for row in rows),
        "shards": {shard: len(part) for shard, part in shards.items()},
        "splits": {split: sum(row.split == split for row in rows) for split in SPLITS},
        "classes": {name: {split: per_class[i, split] for split in SPLITS} for i, name in enumerate(classes)},
    }
