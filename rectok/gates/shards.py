"""Every row of a shard must be what was packed, and every image of its index packed or listed as bad."""

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Any

import pandas as pd

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks.bounds import at_most, holds, listed
from rectok.checks.pages import renew_page
from rectok.checks.tables import fits
from rectok.data.data_config import ImageConfig
from rectok.data.packing import PackedShard
from rectok.data.parallel_map import read_all
from rectok.data.table_schemas import QUARANTINE, SHARD
from rectok.data.tables import IndexRow, read_index, read_table
from rectok.errors import UserError
from rectok.params import Params
from rectok.storage.objects import open_binary

ACCEPTED_BY = {
    "mode ": "image.modes",
    "16-bit image": "image.modes",
    "several frames": "image.frames",
    "too many pixels": "image.max_pixels",
}
"""The parameter that accepts images of each reason."""


def check(params: Params, shard: str) -> Iterator[Check]:
    """Checks of one shard against its index."""
    index = read_index(artifacts.index_file(shard))
    quarantined = artifacts.read_json(artifacts.quarantine_file(shard), list)
    yield fits("schema", read_table(artifacts.shard_table(shard)).to_pandas(), SHARD)
    if quarantined:
        yield fits("quarantine schema", pd.DataFrame(quarantined), QUARANTINE)
    packed = PackedShard(shard)
    yield _rows(packed, params.image)
    yield _layout(packed)
    yield _accounted(packed, index, quarantined)
    share = len(quarantined) / max(1, len(index))
    yield _few_quarantined(params, shard, share, quarantined)
    for reason, count in sorted(Counter(record["reason"] for record in quarantined).items()):
        uris = [record["uri"] for record in quarantined if record["reason"] == reason]
        yield Check(f"quarantined: {reason}", False, "WARN", count, 0, f"left out: {listed(uris)}")
    yield from _treated(packed, artifacts.read_json(artifacts.treatments_file(shard), object))
    renew_page()


def _treated(packed: PackedShard, counts: Any) -> Iterator[Check]:
    """One line for each treatment, if each counts images of the shard."""
    possible = isinstance(counts, dict) and all(type(n) is int and 0 < n <= len(packed) for n in counts.values())
    path = artifacts.treatments_file(packed.shard)
    yield holds(
        "treatments", possible, f"{path} is no table of treatments and their images, of which there are {len(packed)}"
    )
    for treatment, count in counts.items() if possible else ():
        yield Check(treatment, True, "WARN", count, None, "")


def _rows(packed: PackedShard, config: ImageConfig) -> Check:
    """Stored bytes are those that were written, and decode to RGB of the right size."""
    results = read_all(partial(_fault, packed, side=config.size), range(len(packed)), packed.threads)
    faults = [fault for fault in results if fault]
    message = f"shard {packed.shard}: {len(faults)} of {len(packed)} rows are damaged: {listed(faults)}"
    return Check("rows", not faults, "ERROR", len(packed) - len(faults), len(packed), message if faults else "")


def _fault(packed: PackedShard, row: int, side: int) -> str | None:
    name = f"row {row} (key {packed.keys[row]})"
    if not packed.intact(row):
        return f"{name} is not what was written"
    try:
        shape = packed.pixels(row).shape
    except UserError as error:
        return str(error)
    return None if shape == (side, side, 3) else f"{name} has shape {shape}, but should have {(side, side, 3)}"


def _layout(packed: PackedShard) -> Check:
    """The tar itself, as others read it, holds `<key>.png` and `<key>.cls` for every row, in order."""
    expected = [
        (f"{key}.{kind}", str(label))
        for key, label in zip(packed.keys, packed.labels, strict=True)
        for kind in ("png", "cls")
    ]
    try:
        with open_binary(packed.uri) as file, tarfile.open(fileobj=file) as tar:
            members = [(m.name, _label(tar, m)) for m in tar]
    except tarfile.TarError as error:
        return holds("layout", False, f"{packed.path} is no whole tar file: {error}")
    same = len(members) == len(expected) and all(
        name == member and label in (None, text)
        for (name, label), (member, text) in zip(members, expected, strict=True)
    )
    return holds("layout", same, f"the members of {packed.path} are not those of its table")


def _label(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    """What a .cls member says."""
    content = tar.extractfile(member) if member.name.endswith(".cls") else None
    return content.read().decode(errors="replace") if content else None


def _accounted(packed: PackedShard, index: list[IndexRow], quarantined: list[dict[str, Any]]) -> Check:
    """Packed and quarantined images together are those of the index, in its order, with its labels and splits."""
    bad = {record["key"] for record in quarantined}
    expected = [(row.key, row.label, row.split) for row in index if row.key not in bad]
    packed_rows = list(zip(packed.keys, packed.labels.tolist(), packed.splits, strict=True))
    strangers = [*sorted(bad - {row.key for row in index}), *sorted(row[0] for row in set(packed_rows) - set(expected))]
    missing = sorted(row[0] for row in set(expected) - set(packed_rows))
    message = f"shard {packed.shard} is not its index: missing {listed(missing)}; unexpected {listed(strangers)}"
    same = packed_rows == expected and not strangers
    return Check("accounted", same, "ERROR", len(packed_rows) + len(bad), len(index), "" if same else message)


def _reasons(quarantined: list[dict[str, Any]]) -> str:
    counts = Counter(record["reason"] for record in quarantined)
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items())) or "none"


def _few_quarantined(params: Params, shard: str, share: float, quarantined: list[dict[str, Any]]) -> Check:
    what = f"the share of bad images in shard {shard} ({_reasons(quarantined)})"
    check = at_most("quarantined", share, params.gates.shards.max_quarantined, what)
    return check if check.passed else replace(check, message=f"{check.message}; {_all_bad(params, quarantined)}")


def _all_bad(params: Params, quarantined: list[dict[str, Any]]) -> str:
    """Where the bad images of all packed shards are listed, and which parameters accept them."""
    lists = [name for name in params.index.shards if artifacts.quarantine_file(name).exists()]
    bad = {name: len(artifacts.read_json(artifacts.quarantine_file(name), list)) for name in lists}
    images = {name: len(read_index(artifacts.index_file(name))) for name in lists}
    highest = max(bad[name] / max(1, images[name]) for name in lists)
    keys = {key for record in quarantined for start, key in ACCEPTED_BY.items() if record["reason"].startswith(start)}
    change = f"change {' or '.join(sorted(keys))}, " if keys else ""
    others = "" if len(lists) == len(params.index.shards) else " (`dvc repro shards` packs the others)"
    return (
        f"{artifacts.quarantine_file('*')} list the {sum(bad.values())} bad of {sum(images.values())} images in "
        f"{len(lists)} of {len(params.index.shards)} shards{others}: repair or remove them, {change}or set "
        f"gates.shards.max_quarantined to {ceil(highest * 1000) / 1000:g}"
    )
