import gc
import json
import os
import pickle
import subprocess
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from rectok import artifacts
from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, PackedShard, Quarantined, write_quarantine, write_shard
from rectok.errors import UserError


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (16, 16, 3)).astype(np.uint8)


def images(count: int = 5) -> list[Packed]:
    return [Packed(f"{i:016x}", i % 3, ("train", "val")[i % 2], encode_png(pixels(i))) for i in range(count)]


def test_rows_are_read_in_any_order() -> None:
    write_shard("00000", images())
    shard = PackedShard("00000")
    assert len(shard) == 5
    for row in (4, 0, 2):
        np.testing.assert_array_equal(shard.pixels(row), pixels(row))
        assert shard.intact(row)
    assert shard.labels.tolist() == [0, 1, 2, 0, 1]
    assert shard.splits == ["train", "val", "train", "val", "train"]


def read_samples() -> list[dict[str, Any]]:
    """Read the tar by the webdataset library, which leaves it open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        path = str(artifacts.shard_tar("00000"))
        samples = list(webdataset.WebDataset(path, shardshuffle=False, empty_check=False).decode("rgb8"))
        gc.collect()
    return samples


def test_webdataset_reads_the_tar() -> None:
    write_shard("00000", images())
    samples = read_samples()
    assert [sample["__key__"] for sample in samples] == [image.key for image in images()]
    assert [sample["cls"] for sample in samples] == [0, 1, 2, 0, 1]
    np.testing.assert_array_equal(samples[3]["png"], pixels(3))


def test_the_same_images_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = []
    for owner in ("1000", "2000"):
        monkeypatch.setenv("USER", owner)
        write_shard("00000", images())
        contents.append((artifacts.shard_tar("00000").read_bytes(), artifacts.shard_table("00000").read_bytes()))
    assert contents[0] == contents[1]
    with tarfile.open(artifacts.shard_tar("00000")) as tar:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}


def test_an_empty_shard_can_be_read() -> None:
    write_shard("00000", [])
    assert len(PackedShard("00000")) == 0
    assert read_samples() == []


def test_a_reader_survives_pickle_and_fork() -> None:
    write_shard("00000", images())
    shard = PackedShard("00000")
    shard.pixels(0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(shard)).pixels(1), pixels(1))
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(shard.pixels(2), pixels(2)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(shard.pixels(3), pixels(3))


@pytest.mark.parametrize("damage", ["bytes", "cut", "nothing left"])
def test_damage_is_named_by_row_and_key(damage: str) -> None:
    write_shard("00000", images())
    path, offset = artifacts.shard_tar("00000"), int(PackedShard("00000").offsets[3])
    content = path.read_bytes()
    broken = {
        "bytes": content[:offset] + bytes(40) + content[offset + 40 :],
        "cut": content[:offset],
        "nothing left": b"",
    }
    path.write_bytes(broken[damage])
    shard = PackedShard("00000")
    assert [shard.intact(row) for row in range(5)] == [damage != "nothing left"] * 3 + [False, damage == "bytes"]
    with pytest.raises(UserError, match=r"00000\.tar is damaged in row 3 \(key 0000000000000003\)"):
        shard.pixels(3)


def test_quarantine_is_sorted_by_key() -> None:
    bad = [Quarantined(key, f"cat/{key}.png", "mode L", "") for key in ("b", "a")]
    write_quarantine("00000", bad)
    assert [record["key"] for record in json.loads(artifacts.quarantine_file("00000").read_text())] == ["a", "b"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "data"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_earlier_shards_whole(small_disk: Path) -> None:
    write_shard("00000", images())
    before = artifacts.shard_tar("00000").read_bytes()
    with pytest.raises(UserError, match=r"the disk is full while writing data/shards/00000\.tar"):
        write_shard("00000", images(400))
    assert artifacts.shard_tar("00000").read_bytes() == before
    assert sorted(path.name for path in (small_disk / "shards").iterdir()) == ["00000.parquet", "00000.tar"]
    np.testing.assert_array_equal(PackedShard("00000").pixels(4), pixels(4))
