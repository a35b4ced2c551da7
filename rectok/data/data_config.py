"""Where images come from and how they are prepared."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config

Split = Literal["train", "val", "test"]
LatentStorage = Literal["float32", "float16"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
IGNORE = "ignore"
"""What `image.orientation`, `image.profile` and `image.background` are where the pixels stay as they are stored."""
COLOUR = re.compile(r"white|gray|black|#[0-9a-fA-F]{6}")
COLUMN = "column:"
"""Prefix of `index.labels` for a column."""


def is_table(labels: str) -> bool:
    """Whether `index.labels` names a table of files."""
    return labels.endswith((".csv", ".json", ".jsonl")) and not labels.startswith(COLUMN)


class SplitConfig(Config):
    """Fractions of each class for the held-out splits. Splits that a source names itself stay as they are."""

    val: float = Field(ge=0, lt=1)
    test: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training_images(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val} + test {self.test} leaves nothing to train on")
        return self


class IndexConfig(Config):
    """The source, and how it is cut into splits and shards.

    `source` is `sklearn:digits`, or a folder or s3:// prefix of image files, Hugging Face parquet files, tar or zip files
    (plain or WebDataset), or one parquet, tar or zip file. `labels` says where labels come from. `auto` takes them from a
    sample's .cls or .json, from a parquet file's label column, or from metadata.csv or metadata.jsonl with file_name and label
    (Hugging Face's imagefolder), else from folders. `folders` means one folder per label, optionally below train/, val/ and
    test/. `column:NAME` is a column of parquet files or of such metadata, or a key of a sample's .json. A path (local or
    s3://) is a table: CSV or JSON lines with the columns file, label and perhaps split, or JSON {file: label}. The file of a
    parquet row is its image's path. `none` means images without labels, which form one class. `image` chooses among several
    images: the column of parquet files, or the extension in a WebDataset sample, such as `jpg` or `seg.png`; it may be empty
    where there is one. `watch` is a path whose change reruns the stage: the source itself if it is a file or
    folder. `limit` keeps the first images by content hash; 0 keeps all.
    """

    source: str
    labels: str
    image: str
    watch: str
    shards: tuple[str, ...]
    split: SplitConfig
    limit: int = Field(ge=0)

    @property
    def unlabelled(self) -> bool:
        """Whether the images have no labels."""
        return self.labels == "none"

    @model_validator(mode="after")
    def _knows_its_labels(self) -> Self:
        named = self.labels.startswith(COLUMN) and self.labels != COLUMN
        if self.labels not in ("auto", "folders", "none") and not named and not is_table(self.labels):
            raise ValueError(
                f"labels is {self.labels!r}, but must be auto, folders, none, column:NAME, or a .csv, .json or .jsonl file"
            )
        return self

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        expected = tuple(f"{i:05d}" for i in range(len(self.shards)))
        if not self.shards or self.shards != expected:
            raise ValueError(f"shards must be numbered {', '.join(expected) or '00000'} without gaps")
        return self


class ImageConfig(Config):
    """How an image becomes a square of side `size`; `flip` allows mirror images.

    `modes` are the modes to accept, by Pillow's names; behind a mode of 16 bits stands `;16`, as in `I;16` (grey) and `RGB;16`.
    `orientation: exif` turns an image upright as its EXIF says. `profile: srgb` converts colours by the ICC profile of the file.
    `background` is the colour under transparency: white, gray, black or `#rrggbb`. `ignore` leaves each of the three as it is
    stored. Of several frames or pages, `frames` takes the `first` or the `middle` one, or puts the file into quarantine.
    """

    size: int = Field(gt=0, le=2**14)
    modes: tuple[str, ...]
    max_pixels: int = Field(gt=0)
    flip: bool
    orientation: Literal["exif", "ignore"]
    profile: Literal["srgb", "ignore"]
    background: str
    frames: Literal["quarantine", "first", "middle"]

    @model_validator(mode="after")
    def _knows_its_background(self) -> Self:
        if self.background != IGNORE and not COLOUR.fullmatch(self.background):
            raise ValueError(
                f"background is {self.background!r}, but must be white, gray, black, ignore or such as '#102030'"
            )
        return self
