"""Shards that lie in a bucket or another folder: read by ranges, without a copy here."""

import pickle
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from torch.utils.data import DataLoader

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.data.packing import PackedShard
from rectok.errors import UserError
from rectok.files import write_bytes
from rectok.gates.shards import check
from rectok.stages import index, shards
from rectok.storage.client import forget_client
from rectok.storage.objects import list_files, publish, read_bytes
from tests.data.files import image_folder, params
from tests.storage.proxy import Fault, Proxy
from tests.storage.server import BUCKET


@pytest.fixture(params=["folder", "bucket"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "elsewhere")
    request.getfixturevalue("proxy")
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("pets"), {"cat": 8, "dog": 8})


def settings(location: str) -> Any:
    digits = params({"source": "pets", "shards": ["00000"]})
    return digits.model_copy(update={"storage": digits.storage.model_copy(update={"shards": location})})


def build(location: str) -> Any:
    parameters = settings(location)
    index.run(parameters)
    shards.run(parameters, "00000")
    return parameters


def test_a_shard_elsewhere_is_the_one_that_would_be_here(location: str) -> None:
    build("")
    here, rows = artifacts.shard_tar("00000").read_bytes(), artifacts.shard_table("00000").read_bytes()
    pixels = [PackedShard("00000").pixels(row) for row in range(16)]
    parameters = build(location)
    assert artifacts.shard_tar("00000").stat().st_size < 300
    assert artifacts.shard_table("00000").read_bytes() == rows
    (stored,) = list_files(location)
    assert (stored.size, stored.name[:6]) == (len(here), "00000-")
    reader = PackedShard("00000")
    for copy in (reader, pickle.loads(pickle.dumps(reader))):
        np.testing.assert_array_equal([copy.pixels(row) for row in range(16)], pixels)
    assert all(result.passed for result in check(parameters, "00000"))
    assert sorted(path.name for path in artifacts.stage_dir("shards").iterdir()) == [
        "00000.parquet",
        "00000.quarantine.json",
        "00000.tar",
        "00000.treatments.json",
    ]


def test_the_pointer_follows_the_content_and_nothing_else(location: str) -> None:
    build(location)
    first = artifacts.shard_tar("00000").read_bytes()
    build(location)
    assert artifacts.shard_tar("00000").read_bytes() == first
    image_folder(Path("pets"), {"cat": 1}, first_seed=1)
    build(location)
    assert artifacts.shard_tar("00000").read_bytes() != first
    assert len(list(list_files(location))) == 2, "the older version is gone, though older commits point to it"


@pytest.mark.parametrize("workers", [0, 2])
def test_training_reads_batches_from_it_also_in_forked_workers(location: str, workers: int) -> None:
    build("")
    expected = ImageDataset(["00000"], "train")
    expected_images = expected.batch(range(len(expected)), [False] * len(expected)).image
    build(location)
    dataset = ImageDataset(["00000"], "train")
    assert dataset.batch([0], [True]).image.equal(expected_images[:1].flip(-1))
    loader = DataLoader(Positions(dataset), batch_size=None, num_workers=workers)
    assert all(image.equal(expected_images[position]) for position, image in enumerate(loader))


class Positions:
    """A data set as torch's loader knows it."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        return self.dataset.batch([position], [False]).image[0]


def test_what_is_gone_or_cut_is_named_and_fails_the_gate(location: str, proxy: Proxy) -> None:
    parameters = build(location)
    uri = PackedShard("00000").uri
    if location.startswith("s3"):
        boto3.client("s3").put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=b"half")
    else:
        Path(uri).write_bytes(b"half")
    with pytest.raises(UserError, match=rf"{uri} has 4 bytes, but \d+ were written"):
        PackedShard("00000").pixels(0)
    with pytest.raises(UserError, match=f"{uri} has 4 bytes"):
        list(check(parameters, "00000"))
    artifacts.shard_tar("00000").write_text('{"points_to": "x"}\n')
    with pytest.raises(UserError, match=r"00000\.tar is damaged: it is an incomplete pointer"):
        PackedShard("00000").pixels(0)


def test_a_bit_that_flips_elsewhere_is_named_by_everyone_who_reads_the_row(location: str, proxy: Proxy) -> None:
    parameters = build(location)
    packed, row = PackedShard("00000"), 3
    content = bytearray(read_bytes(packed.uri))
    content[packed.offsets[row] + packed.sizes[row] // 2] ^= 1
    write_bytes(Path("flipped"), bytes(content))
    publish(Path("flipped"), packed.uri)
    sentence = (
        rf"{packed.uri} is damaged in row 3 \(key {packed.keys[row]}\); `rectok repair shards@00000` writes it again"
    )
    with pytest.raises(UserError, match=sentence):
        PackedShard("00000").pixels(row)
    dataset = ImageDataset(["00000"], packed.splits[row])
    with pytest.raises(UserError, match=sentence):
        dataset.batch(range(len(dataset)), [False] * len(dataset))
    failed = [result for result in check(parameters, "00000") if not result.passed]
    assert [result.name for result in failed] == ["rows"] and "row 3" in failed[0].message


def test_an_upload_that_fails_leaves_the_old_shard(proxy: Proxy) -> None:
    location = f"s3://{BUCKET}/failing"
    build(location)
    before = artifacts.shard_tar("00000").read_bytes()
    image_folder(Path("pets"), {"cat": 1}, first_seed=1)
    proxy.spoil(Fault("503", "PUT", times=1000))
    with pytest.raises(UserError, match=r"s3://images/failing/00000-\w+\.tar cannot be written"):
        build(location)
    proxy.spoil()
    assert artifacts.shard_tar("00000").read_bytes() == before
    assert len(list(list_files(location))) == 1
    assert not list(artifacts.stage_dir("shards").glob(".*"))
    assert PackedShard("00000").pixels(0).shape == (32, 32, 3)
    forget_client()
