"""The index must be well-formed, without duplicates or leaks, and balanced enough to learn from."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pandas as pd

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks import drift
from rectok.checks.bounds import holds, listed
from rectok.checks.expectations import Expected, between, checks, unique
from rectok.checks.pages import write_page
from rectok.checks.tables import fits
from rectok.checks.thumbnails import write_strips
from rectok.data.data_config import SPLITS
from rectok.data.table_schemas import INDEX
from rectok.data.tables import read_table
from rectok.params import Params
from rectok.params.thresholds import IndexGateParams


def check(params: Params) -> Iterator[Check]:
    """Checks of data/index: every table alone, then the whole set. Keeps pages about them in data/docs/index."""
    checks = []
    for each in _checks(params):
        checks.append(each)
        yield each
    write_page(checks, artifacts.read_json(artifacts.summary_file("index")))


def _checks(params: Params) -> Iterator[Check]:
    names = sorted(path.stem for path in artifacts.stage_dir("index").glob("*.parquet"))
    tables = {shard: read_table(artifacts.index_file(shard)).to_pandas() for shard in names}
    schemas = _schemas(tables)
    yield schemas
    if not schemas.passed:
        return
    classes = artifacts.read_json(artifacts.classes_file(), list)
    images = pd.concat([table.assign(shard=shard) for shard, table in tables.items()], ignore_index=True)
    write_strips(params, images)
    expected = artifacts.read_json(artifacts.summary_file("index"))["images"]
    message = f"data/index holds {len(images)} images, but {expected} were indexed"
    yield holds("count", len(images) == expected, message)
    docs = artifacts.docs_dir("index")
    yield from checks(images, _of_images(images, len(classes)), docs / "images.html")
    yield from checks(_contents(images), _of_contents(_contents(images)), docs / "contents.html")
    splits = _splits(images, _needed(params))
    yield from checks(splits, _of_splits(splits), docs / "splits.html")
    limits = params.gates.index
    named = _classes(images, classes)
    yield _without_images(named)
    present = named[named["images"] > 0]
    yield from checks(present, _of_classes(present, limits), docs / "classes.html")
    yield from drift.checks(params)


def _schemas(tables: Mapping[str, pd.DataFrame]) -> Check:
    results = {shard: fits("schema", table, INDEX) for shard, table in tables.items()}
    broken = [f"shard {shard}: {result.message}" for shard, result in results.items() if not result.passed]
    return holds("schema", bool(tables) and not broken, "; ".join(broken) or "data/index holds no table")


def _image(row: Mapping[Any, Any]) -> str:
    return f"key {row['key']} in shard {row['shard']} ({row['uri']})"


def _of_images(images: pd.DataFrame, classes: int) -> Iterator[Expected]:
    for column, name in (("key", "unique keys"), ("sha256", "unique contents")):
        repeated = int(images[column].duplicated(keep=False).sum())
        yield Expected(name, unique(column=column), repeated, 0, _image)
    highest = int(images["label"].max())
    label = between(column="label", min_value=0, max_value=classes - 1)
    yield Expected(
        "label range", label, highest, classes - 1, lambda row: f"{_image(row)} has label {row['label']}", relation="≤"
    )
    smallest = int(images["bytes"].min())
    yield Expected(
        "file sizes",
        between(column="bytes", min_value=1),
        smallest,
        1,
        lambda row: f"{_image(row)} is empty",
        "WARN",
        "≥",
    )


def _contents(images: pd.DataFrame) -> pd.DataFrame:
    """One row per content: in how many splits it lies."""
    return images.groupby("sha256")["split"].nunique().rename("splits").reset_index()


def _of_contents(contents: pd.DataFrame) -> Iterator[Expected]:
    once = between(column="splits", min_value=1, max_value=1)
    leaked = int((contents["splits"] > 1).sum())
    yield Expected("no leak", once, leaked, 0, lambda row: f"{row['sha256']} lies in {row['splits']} splits")


def _needed(params: Params) -> list[str]:
    """The splits that trainings, their validation and evaluations read; ImageNet has no test split with labels."""
    needed = {"train", "val", params.reconstruction.split, params.probe.split}
    return [split for split in SPLITS if split in needed]


def _splits(images: pd.DataFrame, needed: list[str]) -> pd.DataFrame:
    """One row per split: how many images it has."""
    counts = images["split"].value_counts().reindex(needed, fill_value=0)
    return counts.rename_axis("split").rename("images").reset_index()


def _of_splits(splits: pd.DataFrame) -> Iterator[Expected]:
    smallest = int(splits["images"].min())
    yield Expected(
        "every split",
        between(column="images", min_value=1),
        smallest,
        1,
        lambda row: f"{row['split']} is empty",
        relation="≥",
    )


def _classes(images: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """One row per class: its images, those in train, and how many times larger the largest class is."""
    labels = range(len(names))
    counts = images["label"].value_counts().reindex(labels, fill_value=0)
    train = images.loc[images["split"] == "train", "label"].value_counts().reindex(labels, fill_value=0)
    return pd.DataFrame(
        {"name": names, "images": counts, "train": train, "imbalance": counts.max() / counts.clip(lower=1)}
    )


def _of_classes(classes: pd.DataFrame, limits: IndexGateParams) -> Iterator[Expected]:
    """Every class has enough images, some of them in train, and none is much smaller than the largest."""
    floors = {"images": limits.min_per_class, "train": 1}
    for (column, floor), name in zip(floors.items(), ("images per class", "training images per class"), strict=True):
        expectation = between(column=column, min_value=floor)
        smallest = int(classes[column].min())
        yield Expected(name, expectation, smallest, floor, partial(_class, column=column, floor=floor), relation="≥")
    highest = float(classes["imbalance"].max())
    balance = between(column="imbalance", max_value=limits.max_imbalance)
    yield Expected("class balance", balance, round(highest, 4), limits.max_imbalance, _imbalance, relation="≤")


def _without_images(classes: pd.DataFrame) -> Check:
    """A subset of a source keeps the numbers of all classes that the source names. Their images may be missing by mistake."""
    names = list(classes.loc[classes["images"] == 0, "name"])
    message = f"{len(names)} of {len(classes)} classes have no images: {listed(names)}" if names else ""
    return Check("classes without images", not names, "WARN", len(names), 0, message)


def _class(row: Mapping[Any, Any], column: str, floor: int) -> str:
    return f"class {row['name']} has {row[column]} ({column}), but at least {floor} are needed"


def _imbalance(row: Mapping[Any, Any]) -> str:
    return f"class {row['name']} is {row['imbalance']:.3g} times smaller than the largest"
