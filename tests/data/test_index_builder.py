import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rectok.data.data_config import IndexConfig, Split, SplitConfig
from rectok.data.index_builder import build_index, shard_of, split_ends
from rectok.data.sources.image_source import SourceImage
from rectok.data.sources.labels import Labels
from rectok.data.tables import IndexRow
from rectok.errors import UserError


@dataclass
class Memory:
    """A source of (label, content, split)."""

    contents: Sequence[tuple[str, bytes, Split | None]]
    order: tuple[str, ...] = ()
    prefix: str = field(default="")
    packed: bool = False

    def classes(self, labels: Labels) -> tuple[str, ...]:
        return self.order

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        for number, (label, content, split) in enumerate(self.contents):
            yield SourceImage(f"{self.prefix}{label}/{number}", label, split, partial(bytes, content))


def config(shards: int = 1, val: float = 0.1, test: float = 0.2, limit: int = 0) -> IndexConfig:
    names = tuple(f"{i:05d}" for i in range(shards))
    return IndexConfig(
        source="here",
        labels="auto",
        image="",
        watch=".",
        shards=names,
        split=SplitConfig(val=val, test=test),
        limit=limit,
    )


def numbered(label: str, numbers: Iterable[int], split: Split | None = None) -> list[tuple[str, bytes, Split | None]]:
    return [(label, f"{label}{n}".encode(), split) for n in numbers]


PETS = numbered("cat", range(40)) + numbered("dog", range(30))


@dataclass(frozen=True)
class BuiltIndex:
    """An index whose rows were read."""

    shards: dict[str, list[IndexRow]]
    classes: Sequence[str]
    summary: Mapping[str, Any]


def build(source: Memory, index_config: IndexConfig) -> BuiltIndex:
    with build_index(source, Labels("auto"), index_config) as index:
        return BuiltIndex(
            {shard: list(index.rows(shard)) for shard in index_config.shards}, index.classes, index.summary()
        )


def rows_of(
    images: Sequence[tuple[str, bytes, Split | None]], index_config: IndexConfig | None = None, **source: object
):
    index = build(Memory(images, **source), index_config or config())
    return {row.sha256: row for rows in index.shards.values() for row in rows}, index


def test_rows_describe_their_images() -> None:
    rows, index = rows_of(PETS)
    assert index.classes == ["cat", "dog"]
    digest = hashlib.sha256(b"dog7").hexdigest()
    row = rows[digest]
    assert (row.key, row.label, row.uri, row.bytes) == (digest[:16], 1, "dog/47", 4)
    assert [row.key for row in index.shards["00000"]] == sorted(row.key for row in rows.values())


def test_the_order_of_the_source_does_not_matter() -> None:
    forward, backward = rows_of(PETS)[0], rows_of(PETS[::-1])[0]
    assert {(r.key, r.label, r.split) for r in forward.values()} == {
        (r.key, r.label, r.split) for r in backward.values()
    }


def sizes(images: int, fractions: Mapping[Split, float], stratum: str) -> Counter[str]:
    """How many of a stratum come into which held-out split."""
    counts: Counter[str] = Counter()
    start = 0
    for split, end in split_ends(images, fractions, stratum):
        counts[split] = end - start
        start = end
    return counts


@given(n=st.integers(0, 400), val=st.floats(0, 0.4), test=st.floats(0, 0.4), stratum=st.text(max_size=8))
def test_a_stratum_is_cut_to_its_fractions(n: int, val: float, test: float, stratum: str) -> None:
    counts = sizes(n, {"test": test, "val": val}, stratum)
    assert min(counts.values()) >= 0 and counts.total() <= n
    assert abs(counts["test"] - n * test) < 1
    assert abs(counts["val"] - n * val) < 1 + 1e-9
    assert abs(counts["test"] + counts["val"] - n * (test + val)) < 1 + 1e-9


def test_small_strata_are_held_out_in_the_right_fraction_on_average() -> None:
    counts = sum((sizes(2, {"test": 0.2, "val": 0.1}, f"stratum {stratum}") for stratum in range(4000)), Counter[str]())
    # 4000 strata of 2: the standard error of a fraction is below 0.5 %.
    assert counts["test"] / 8000 == pytest.approx(0.2, abs=0.02)
    assert counts["val"] / 8000 == pytest.approx(0.1, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(added=st.sets(st.integers(1000, 2000), min_size=1, max_size=6), shards=st.integers(1, 5))
def test_added_images_touch_only_the_shards_they_fall_in(added: set[int], shards: int) -> None:
    index_config = config(shards)
    before = build(Memory(PETS), index_config)
    new = numbered("dog", sorted(added))
    after = build(Memory(PETS + new), index_config)
    touched = {shard_of(hashlib.sha256(content).hexdigest(), index_config.shards) for _, content, _ in new}
    changed = {shard for shard in index_config.shards if list(before.shards[shard]) != list(after.shards[shard])}
    assert changed == touched


def test_shards_are_of_similar_size() -> None:
    _, index = rows_of(numbered("a", range(2000)) + numbered("b", range(2000)), config(8))
    # Binomial(4000, 1/8) has a standard deviation of 21.
    assert all(abs(len(rows) - 500) < 105 for rows in index.shards.values())


def test_every_shard_has_rows_even_if_none() -> None:
    _, index = rows_of(numbered("a", range(2)) + numbered("b", range(2)), config(64))
    assert len(index.shards) == 64
    assert sum(map(len, index.shards.values())) == 4


def test_equal_contents_are_kept_once_and_counted() -> None:
    images = [*PETS, ("cat", b"cat0", None), ("dog", b"cat1", None)]
    rows, index = rows_of(images)
    assert len(rows) == 70
    assert (index.summary["found"], index.summary["duplicates"], index.summary["contradictory"]) == (72, 2, 1)
    assert index.classes[rows[hashlib.sha256(b"cat1").hexdigest()].label] == "cat"


def test_of_equal_contents_the_held_out_one_is_kept() -> None:
    images = numbered("a", range(20), "train") + numbered("b", range(20), "train")
    images += [("a", b"a0", "test"), ("b", b"b0", "test"), ("a", b"a1", "val"), ("b", b"b1", "val")]
    rows, _ = rows_of(images)
    splits = {
        content: rows[hashlib.sha256(content).hexdigest()].split for content in (b"a0", b"b0", b"a1", b"b1", b"a2")
    }
    assert splits == {b"a0": "test", b"b0": "test", b"a1": "val", b"b1": "val", b"a2": "train"}


def test_a_source_keeps_its_own_splits_and_val_is_cut_from_train() -> None:
    images = [
        image
        for label in "ab"
        for image in numbered(label, range(100), "train") + numbered(label, range(100, 140), "test")
    ]
    rows, index = rows_of(images)
    assert index.summary["splits"]["test"] == 80
    assert abs(index.summary["splits"]["val"] - 20) <= 2
    tested = {row.uri.split("/")[0] + row.uri.split("/")[1] for row in rows.values() if row.split == "test"}
    assert len(tested) == 80
    assert all(row.split == "test" for row in rows.values() if int(row.uri.split("/")[1]) % 140 >= 100)


def test_numbers_are_ordered_by_value_and_named_classes_as_given() -> None:
    images = [image for label in ("10", "9", "2") for image in numbered(label, range(3))]
    assert rows_of(images)[1].classes == ["2", "9", "10"]
    rows, index = rows_of(images, order=("9", "7", "10", "2"))
    assert index.classes == ["9", "7", "10", "2"]
    assert {row.label for row in rows.values()} == {0, 2, 3}  # as the source numbers them


def test_limit_keeps_the_first_by_content() -> None:
    rows, _ = rows_of(PETS, config(limit=25))
    everything = sorted(hashlib.sha256(content).hexdigest() for _, content, _ in PETS)
    assert sorted(rows) == everything[:25]


def test_summary_counts_images() -> None:
    _, index = rows_of(PETS, config(3))
    summary = index.summary
    assert summary["images"] == 70 == sum(summary["shards"].values()) == sum(summary["splits"].values())
    assert {name: sum(counts.values()) for name, counts in summary["classes"].items()} == {"cat": 40, "dog": 30}
    assert summary["bytes"] == sum(len(content) for _, content, _ in PETS)


@pytest.mark.parametrize(
    "images,problem",
    [
        ([], "index.source here holds no images"),
        (numbered("cat", range(5)), r"holds only one class \(cat\)"),
        (numbered("cat", range(5)) + numbered("dog", range(1)), "class dog of index.source here has a single image"),
        (numbered("cat", range(5)) + [("dog", b"x", None)] * 3, "class dog of index.source here has a single image"),
        (
            numbered("cat", range(5), "train") + numbered("dog", range(5)),
            "names splits, but dog/5 lies outside of them",
        ),
        (numbered("cat", range(5), "val") + numbered("dog", range(5), "test"), "names splits, but none is train"),
    ],
)
def test_sources_that_cannot_be_learnt_from(images: list[tuple[str, bytes, Split | None]], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        rows_of(images)
