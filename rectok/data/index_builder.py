"""From a source to an index of its distinct images with their keys, classes, splits and shards.

Content hashes determine every choice. A new image changes the file of its own shard and, through the boundary between
splits, at most other images of its own class in that shard.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rectok.data.catalogue import Catalogue, CatalogueCounts, HashedImage, Stratum
from rectok.data.data_config import SPLITS, IndexConfig, Split
from rectok.data.image_headers import HeaderCounts, is_sampled, parameters_for
from rectok.data.parallel_map import CHUNK, map_in_threads, threads_for
from rectok.data.sources.content import is_image
from rectok.data.sources.folder_labels import annotate_folders, only_splits
from rectok.data.sources.image_source import ImageSource, SourceImage
from rectok.data.sources.label_values import number_in
from rectok.data.sources.labels import Labels
from rectok.data.sources.left_out import LeftOut
from rectok.data.tables import IndexRow
from rectok.errors import UserError
from rectok.storage.objects import is_remote

KEY_DIGITS = 16
_OTHERWISE = ", name a table or a column in index.labels, or set index.labels to none"
HELD_OUT: tuple[Split, ...] = ("val", "test")


@dataclass(frozen=True)
class Index:
    """The catalogue of all images, and the class names: a label is a position among them.

    `fractions` are cut from the images outside of val and test, for the splits that the source does not name.
    """

    config: IndexConfig
    catalogue: Catalogue
    counts: CatalogueCounts
    left_out: LeftOut
    headers: HeaderCounts
    classes: Sequence[str]
    fractions: Mapping[Split, float]

    def rows(self, shard: str) -> Iterator[IndexRow]:
        """The images of `shard` by key."""
        number = self.config.shards.index(shard)
        label_of = {name: label for label, name in enumerate(self.classes)}
        strata = self.catalogue.strata(number)
        ends = {stratum.label: self._ends(stratum) for stratum in strata if stratum.split not in HELD_OUT}
        position: Counter[str] = Counter()
        for image in self.catalogue.images(number):
            split = image.split
            if split not in HELD_OUT:
                split = _split_at(position[image.label], ends[image.label])
                position[image.label] += 1
            yield IndexRow(
                key=image.sha256[:KEY_DIGITS],
                uri=image.uri,
                label=label_of[image.label],
                split=split,
                bytes=image.bytes,
                sha256=image.sha256,
            )

    def summary(self) -> dict[str, Any]:
        """Counts of images by shard, split and class."""
        per_class: Counter[tuple[str, Split]] = Counter()
        per_shard: Counter[str] = Counter()
        size = 0
        for stratum in self.catalogue.strata():
            per_shard[self.config.shards[stratum.shard]] += stratum.images
            size += stratum.bytes
            for split, images in _images_per_split(stratum, self._ends(stratum)):
                per_class[stratum.label, split] += images
        return {
            "found": self.counts.images,
            "unlisted": self.left_out.count("not in the table"),
            **({"left_out": left_out} if (left_out := self.left_out.summary()) else {}),
            "headers": self.headers.summary(),
            "duplicates": self.counts.images - self.counts.distinct,
            "contradictory": self.counts.contradictory,
            "images": per_shard.total(),
            "bytes": size,
            "shards": {shard: per_shard[shard] for shard in self.config.shards},
            "splits": {split: sum(per_class[name, split] for name in self.classes) for split in SPLITS},
            "classes": {name: {split: per_class[name, split] for split in SPLITS} for name in self.classes},
        }

    def _ends(self, stratum: Stratum) -> list[tuple[Split, int]]:
        name = f"{self.config.shards[stratum.shard]}|{stratum.label}"
        return split_ends(stratum.images, self.fractions, name)


@contextmanager
def build_index(source: ImageSource, labels: Labels, config: IndexConfig) -> Iterator[Index]:
    """Index `source`. The index lies on disk while the context is open.

    Raises UserError for a source that is empty or has one class only, and for a class with one image.
    """
    with closing(Catalogue()) as catalogue:
        # The images of packed files lie in memory until a thread takes them.
        chunk = 1 if source.packed or is_remote(config.source) else CHUNK
        hashed = map_in_threads(_hash, enumerate(source.images(labels)), threads_for(config.source), chunk)
        headers = HeaderCounts()
        images = _without_other_files(hashed, labels.left_out, headers)
        catalogue.add_all((_shard_number(image.sha256, len(config.shards)), image) for image in images)
        labels.check_complete()
        for uri in catalogue.label_folders(annotate_folders(catalogue.folders(), source.packed)):
            labels.left_out.add("beside the class folders", uri)
        counts = catalogue.deduplicate()
        _check_classes(catalogue.images_per_label(), config, labels.hint)
        if config.limit:
            catalogue.truncate(config.limit)
        classes = _ordered(catalogue.images_per_label(), source.classes(labels))
        yield Index(config, catalogue, counts, labels.left_out, headers, classes, _fractions(catalogue, config))


def shard_of(sha256: str, shards: Sequence[str]) -> str:
    """The shard of a content hash. The last digits of the hash decide, since its first digits order the images."""
    return shards[_shard_number(sha256, len(shards))]


def _shard_number(sha256: str, shards: int) -> int:
    return int(sha256[-12:], 16) % shards


def split_ends(images: int, fractions: Mapping[Split, float], stratum: str) -> list[tuple[Split, int]]:
    """Cut the `images` of one stratum, in the order of their hashes, into (split, end) by `fractions` that sum below 1.

    What follows the last end is train. An end lies at floor(images·cumulative fraction + u). The name of the stratum seeds
    u ∈ [0, 1). So counts are right on average even in a stratum so small that rounding would always favour train.
    """
    u = int(hashlib.sha256(stratum.encode()).hexdigest()[:12], 16) / 16**12
    cumulative, ends = 0.0, []
    for split, fraction in fractions.items():
        cumulative += fraction
        ends.append((split, int(images * cumulative + u)))
    return ends


def _split_at(position: int, ends: Sequence[tuple[Split, int]]) -> Split:
    return next((split for split, end in ends if position < end), "train")


def _hash(numbered: tuple[int, SourceImage]) -> HashedImage | str:
    """The image, or the uri of a file that is none."""
    number, image = numbered
    content = image.read()
    try:
        image.uri.encode()
    except UnicodeEncodeError:
        raise UserError(f"the file name {image.uri!r} is not UTF-8; rename it") from None
    if image.uncertain and not is_image(content):
        return image.uri
    digest = hashlib.sha256(content).hexdigest()
    parameters = parameters_for(content) if is_sampled(number) else None
    return HashedImage(image.uri, image.label, image.split, len(content), digest, image.folder, parameters)


def _without_other_files(
    hashed: Iterable[HashedImage | str], left_out: LeftOut, headers: HeaderCounts
) -> Iterator[HashedImage]:
    """The images. Counts the other files, and what the headers say."""
    for image in hashed:
        if isinstance(image, str):
            left_out.add("not an image", image)
            continue
        if image.parameters is not None:
            headers.add(image.parameters)
        yield image


def _check_classes(counts: Mapping[str, int], config: IndexConfig, hint: str) -> None:
    source, otherwise = f"index.source {config.source}", f"{_OTHERWISE}{hint}"
    if config.unlabelled:
        if not counts:
            raise UserError(f"{source} holds no images")
        return
    if not counts and config.labels in ("auto", "folders"):
        raise UserError(f"{source} holds no images in folders; put them into one folder per label{otherwise}")
    if not counts:
        raise UserError(f"{source} holds no images that index.labels {config.labels} gives a label")
    if only_splits(counts):
        raise UserError(
            f"{source} has no labels but {' and '.join(counts)}, which name splits and no classes; put one folder per label "
            f"below each{otherwise}"
        )
    if len(counts) == 1:
        raise UserError(
            f"{source} holds only one class ({next(iter(counts))}); put at least two labels into it{otherwise}"
        )
    single = [label for label, count in counts.items() if count == 1]
    if single:
        raise UserError(f"class {single[0]} of {source} has a single image; every class needs two or more")


def _ordered(labels: Iterable[str], source_order: Sequence[str]) -> list[str]:
    """All labels of the source if it names them, in its order. Else those of the images, numbers by value or text by name."""
    known = set(labels)
    if source_order and known <= set(source_order):
        return list(source_order)
    numbers = {label: number for label in known if (number := number_in(label)) is not None}
    return sorted(known, key=numbers.__getitem__) if len(numbers) == len(known) else sorted(known)


def _fractions(catalogue: Catalogue, config: IndexConfig) -> dict[Split, float]:
    """The fractions of the splits that the source does not name."""
    splits = catalogue.splits()
    if None in splits and len(splits) > 1:
        raise UserError(
            f"index.source {config.source} names splits, but {catalogue.first_without_split()} lies outside of them; move "
            "or remove it"
        )
    if "train" not in splits and None not in splits:
        raise UserError(f"index.source {config.source} names splits, but none is train; add it or name none")
    fractions: dict[Split, float] = {"test": config.split.test, "val": config.split.val}
    return {split: fraction for split, fraction in fractions.items() if split not in splits}


def _images_per_split(stratum: Stratum, ends: Sequence[tuple[Split, int]]) -> Iterator[tuple[Split, int]]:
    if stratum.split in HELD_OUT:
        yield stratum.split, stratum.images
        return
    start = 0
    for split, end in (*ends, ("train", stratum.images)):
        yield split, end - start
        start = end
