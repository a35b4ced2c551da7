"""How far the index has moved from the one that a person accepted."""

from collections.abc import Iterator
from dataclasses import dataclass

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
NOTHING_ACCEPTED = "nothing accepted"
"""The value of every check until there is something to compare with."""


def summary(params: Params) -> tuple[ImageStatistics, list[MeasuredImage]]:
    """How the index in data/index looks, and the sample behind it: the images whose content hashes come first."""
    names = artifacts.read_json(artifacts.classes_file())
    tables = sorted(artifacts.stage_dir("index").glob("*.parquet"))
    images = pd.concat([read_table(path).to_pandas() for path in tables], ignore_index=True)
    counts = images["label"].value_counts().reindex(range(len(names)), fill_value=0)
    first = images.sort_values("sha256").head(params.gates.index.drift.sampled)
    sample = measure_images(open_source(params.index.source), list(first["uri"]), params.image)
    return image_statistics(dict(zip(names, map(int, counts), strict=True)), list(images["bytes"]), sample), sample


def checks(params: Params) -> Iterator[Check]:
    """The drift of each figure from data/baseline/index.json, and its limit; all pass where nothing was accepted."""
    bounds = params.gates.index.drift
    most = (
        bounds.max_class_shift,
        bounds.max_brightness,
        bounds.max_size,
        bounds.max_size,
        bounds.max_duplicates,
    )
    limits = dict(zip(NAMES, most, strict=True))
    if not artifacts.baseline_file().exists():
        yield from (Check(name, True, bounds.severity, NOTHING_ACCEPTED, limit, "") for name, limit in limits.items())
        return
    before = artifacts.read_config(artifacts.baseline_file(), ImageStatistics)
    now, sample = summary(params)
    for name, drift in _drifts(before, now, sample).items():
        passed = drift.amount <= limits[name]
        yield Check(
            name, passed, bounds.severity, round(drift.amount, 4), limits[name], "" if passed else drift.message
        )


@dataclass(frozen=True)
class _Drift:
    amount: float
    message: str


def _drifts(before: ImageStatistics, now: ImageStatistics, sample: list[MeasuredImage]) -> dict[str, _Drift]:
    brightness = f"the mean pixel is {now.brightness:.4g}, and was {before.brightness:.4g} when the index was accepted"
    size = f"the median file has {now.median_bytes:g} bytes, and had {before.median_bytes:g}"
    side = f"the median image is {now.median_side:.4g} pixels wide and high, and was {before.median_side:.4g}"
    pairs = listed([f"{one} looks like {other}" for one, other in near_duplicates(sample)])
    drifts = (
        _Drift(_class_drift(before, now), _classes(before, now)),
        _Drift(abs(now.brightness - before.brightness), brightness),
        _Drift(abs(now.median_bytes - before.median_bytes) / max(before.median_bytes, 1.0), size),
        _Drift(abs(now.median_side / before.median_side - 1) if before.median_side else 0.0, side),
        _Drift(now.duplicates - before.duplicates, pairs),
    )
    return dict(zip(NAMES, drifts, strict=True))


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
