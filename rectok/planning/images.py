"""How many images and classes a plan reckons with."""

from collections.abc import Mapping
from dataclasses import dataclass

from rectok import artifacts
from rectok.errors import UserError


@dataclass(frozen=True)
class Images:
    """Images of every split whose number is known, `train` among them, and the number of classes."""

    splits: Mapping[str, int]
    classes: int

    @property
    def train(self) -> int:
        """Those that networks learn from."""
        return self.splits["train"]

    @property
    def stored(self) -> int:
        """Those that lie in shards: of all known splits."""
        return sum(self.splits.values())


IMAGENET = Images({"train": 1_281_167, "val": 50_000}, 1000)
PUBLIC = {
    "digits": Images({"train": 1258, "val": 180, "test": 359}, 10),
    "cifar10": Images({"train": 48_001, "val": 1999, "test": 10_000}, 10),
    "imagenet256": IMAGENET,
    "imagenet512": IMAGENET,
}
"""The presets' public data, split as the presets say."""
ASSUMED_CLASSES = 1000
"""Where nothing says how many there are."""


def images_of(preset: str, train: int | None, indexed: bool) -> Images:
    """Those of data/index or the preset's public data, with `train` images if given. Raises UserError where nothing tells."""
    known = (_indexed() if indexed else None) or PUBLIC.get(preset)
    if known is None and train is None:
        raise UserError(f"nothing says how many images {preset} has: add --images, or run `dvc repro index`")
    splits, classes = (known.splits, known.classes) if known else ({}, ASSUMED_CLASSES)
    return Images({**splits, "train": train} if train else splits, classes)


def _indexed() -> Images | None:
    """What data/index has counted; None where it is not there."""
    summary = artifacts.summary_file("index")
    if not summary.exists():
        return None
    return Images(artifacts.read_json(summary)["splits"], len(artifacts.read_json(artifacts.classes_file(), list)))
