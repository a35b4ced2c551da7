"""How far the index has moved from the one that a person accepted."""

from collections.abc import Iterator

import pandas as pd

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import listed
from rectok.data.image_statistics import (
    ImageStatistics,
    MeasuredImage,
    image_statistics,
    measure_images,
    near_duplicates,
)
from rectok.data.sources.opening import open_source
from rectok.data.tables import read_table
from rectok.params import Params

NAMES = ("class drift", "brightness drift", "size drift", "side drift", "more images alike")
"""The checks of this module."""
NOTHING_ACCEPTED = "no baseline"
"""The value of every check until there is something to compare with."""


def summary(params: Params) -> tuple[ImageStatistics, list[MeasuredImage]]:
    """How the index in data/index looks, and the sample behind it: the images whose content hashes come first."""
    names = artifacts.read_json(artifacts.classes_file(), list)
    tables = sorted(artifacts.stage_dir("index").glob("*.parquet"))
    images = pd.concat([read_table(path).to_pandas() for path in tables], ignore_index=True)
    counts = images["label"].value_counts().reindex(range(len(names)), fill_value=0)
    first = images.sort_values("sha256").head(params.gates.index.drift.sampled)
    sample = measure_images(open_source(params.index.source, params.index.image), list(first["uri"]), params.image)
    return image_statistics(dict(zip(names, map(int, counts), strict=True)), list(images["bytes"]), sample), sample


def checks(params: Params) -> Iterator[Check]:
    """The drift of each figure from data/baseline/index.json, and its limit; all pass where nothing was accepted."""
    bounds = params.gates.index.drift
    limits = (bounds.max_class_shift, bounds.max_brightness, bounds.max_size, bounds.max_size, bounds.max_duplicates)
    if not artifacts.baseline_file().exists():
        for name, limit in zip(NAMES, limits, strict=True):
            yield Check(name, True, bounds.severity, NOTHING_ACCEPTED, limit, "", "≤")
        return
    before = artifacts.read_config(artifacts.baseline_file(), ImageStatistics)
    now, sample = summary(params)
    for name, limit, (drift, message) in zip(NAMES, limits, _drifts(before, now, sample), strict=True):
        passed = drift <= limit
        yield Check(name, passed, bounds.severity, round(drift, 4), limit, "" if passed else message, "≤")


def _drifts(before: ImageStatistics, now: ImageStatistics, sample: list[MeasuredImage]) -> Iterator[tuple[float, str]]:
    """The drift of each of NAMES, and what has moved."""
    yield _class_drift(before, now), _classes(before, now)
    brightness = f"the mean pixel is {now.brightness:.4g}, and was {before.brightness:.4g} when the index was accepted"
    yield abs(now.brightness - before.brightness), brightness
    size = f"the median file has {now.median_bytes:g} bytes, and had {before.median_bytes:g}"
    yield abs(now.median_bytes - before.median_bytes) / max(before.median_bytes, 1.0), size
    side = f"the median image is {now.median_side:.4g} pixels wide and high, and was {before.median_side:.4g}"
    yield abs(now.median_side / before.median_side - 1) if before.median_side else 0.0, side
    pairs = [f"{one} looks like {other}" for one, other in near_duplicates(sample)]
    yield now.duplicates - before.duplicates, listed(pairs)


def _class_drift(before: ImageStatistics, now: ImageStatistics) -> float:
    """Total variation between the class shares: the share of images that would have to change class."""
    names = before.classes.keys() | now.classes.keys()
    return sum(abs(before.classes.get(name, 0.0) - now.classes.get(name, 0.0)) for name in names) / 2


def _classes(before: ImageStatistics, now: ImageStatistics) -> str:
    """The classes whose shares moved most, first."""
    old, new = before.classes, now.classes
    names = sorted(old.keys() | new.keys(), key=lambda name: -abs(old.get(name, 0.0) - new.get(name, 0.0)))
    moved = [name for name in names if old.get(name) != new.get(name)]
    return listed([f"class {n} is {new.get(n, 0.0):.2%} of the images, and was {old.get(n, 0.0):.2%}" for n in moved])
