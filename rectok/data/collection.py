"""What a collection of images holds, before there are parameters for it: `rectok init --from` looks at it with this."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import NamedTuple

from rectok.data.bad_image import BadImage, damage_makes_bad_images
from rectok.data.data_config import ImageConfig, IndexConfig, SplitConfig
from rectok.data.image_colour import mode_name
from rectok.data.image_decoding import centre_crop, decode
from rectok.data.image_formats import open_image
from rectok.data.index_builder import build_index
from rectok.data.parallel_map import map_in_threads, threads_for
from rectok.data.sources.image_source import ImageSource, Readable
from rectok.data.sources.labels import open_labels
from rectok.data.sources.opening import open_source

SAMPLED = 2000
"""Images that are decoded. Hashes choose them, so they are a random sample."""
SHARD = "00000"


class ImageLook(NamedTuple):
    """One image: its format and mode, empty if its header is unreadable, its short side upright, and what decoding did to it.

    `unusable` is the reason why it would be put into quarantine.
    """

    format: str = ""
    mode: str = ""
    side: int = 0
    treatments: tuple[str, ...] = ()
    unusable: str = ""


@dataclass(frozen=True)
class Collection:
    """All images of a source by class, with the counts that the summary of an index has, and the `looks` of a sample."""

    classes: Mapping[str, int]
    summary: Mapping[str, int]
    left_out: Mapping[str, int]
    looks: tuple[ImageLook, ...]

    @property
    def images(self) -> int:
        """Number of distinct images."""
        return self.summary["images"]

    @property
    def usable(self) -> list[ImageLook]:
        """The sampled images that can be packed."""
        return [look for look in self.looks if not look.unusable]

    @property
    def side(self) -> int:
        """The median of the short sides in pixels."""
        return round(median(look.side for look in self.usable))

    def counts(self, field: str) -> Counter[str]:
        """How often each `format`, `mode` or reason in `unusable` occurs in the sample, or each of the `treatments`."""
        values = (getattr(look, field) for look in self.looks)
        return Counter(each for value in values for each in ([value] if isinstance(value, str) else value) if each)


def look_at(source: str, labels: str, choice: str, image: ImageConfig) -> Collection:
    """Index the whole source for once, and decode a sample as `image` says, but in whatever mode it is.

    `labels` and `choice` are `index.labels` and `index.image`.

    Raises UserError as the stage `index` does.
    """
    split = SplitConfig(val=0.0, test=0.0)
    config = IndexConfig(
        source=source, labels=labels, image=choice, watch=source, shards=(SHARD,), split=split, limit=0
    )
    files = open_source(source, choice)
    with open_labels(labels) as opened, build_index(files, opened, config) as index:
        summary = index.summary()
        uris = [row.uri for row in islice(index.rows(SHARD), SAMPLED)]
    return Collection(
        {name: sum(splits.values()) for name, splits in summary["classes"].items()},
        {name: summary[name] for name in ("found", "images", "duplicates", "contradictory")},
        {reason: each["files"] for reason, each in summary.get("left_out", {}).items()},
        tuple(_looks(files, uris, image)),
    )


def _looks(files: ImageSource, uris: list[str], image: ImageConfig) -> Iterator[ImageLook]:
    def look(readable: Readable) -> ImageLook:
        return _look(readable[1](), image)

    return map_in_threads(look, files.read(uris), threads_for(uris[0]))


def _look(content: bytes, image: ImageConfig) -> ImageLook:
    form = mode = ""
    try:
        form, mode = _format_and_mode(content) if content else ("", "")
        decoded = decode(content, image.model_copy(update={"modes": (mode,)}))
        centre_crop(decoded.image, image.size, image.max_pixels)
    except BadImage as bad:
        return ImageLook(form, mode, unusable=bad.reason)
    return ImageLook(form, mode, min(decoded.image.size), decoded.treatments)


def _format_and_mode(content: bytes) -> tuple[str, str]:
    with damage_makes_bad_images():
        header = open_image(content)
        return header.format or "", mode_name(header)
