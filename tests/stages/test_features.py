from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from rectok import artifacts
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import FeaturesFile
from rectok.stages import features
from rectok.storage.hashing import sha256_file
from rectok.teacher.loading import load_network, save_network
from tests.teacher.networks import network
from tests.teacher.project import build_shards, params

SHARD = "00000"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_shards()
    save_network(artifacts.stage_dir("teacher"), network(params().teacher.network, 3), {})


def made() -> FeaturesFile:
    return FeaturesFile(artifacts.features_file(SHARD))


@pytest.mark.parametrize(("storage", "error"), [("int8", 1e-4), ("float16", 1e-6)])
@pytest.mark.parametrize("flip", [False, True])
def test_every_image_keeps_its_tokens_in_every_orientation(storage: str, error: float, flip: bool) -> None:
    features.run(params(features__storage=storage, image__flip=flip), SHARD)
    reader, file = ShardReader(SHARD), made()
    assert file.keys == reader.keys
    assert file.orientations == 1 + flip
    net = load_network(artifacts.stage_dir("teacher"))
    images = torch.stack([reader.image(row) for row in range(len(reader))]).float() / 255
    for flipped in range(1 + flip):
        expected = net.tokens(images.flip(-1) if flipped else images, 2)
        found = torch.stack([torch.from_numpy(file.read(row, bool(flipped))) for row in range(len(file))])
        assert (1 - F.cosine_similarity(found, expected, dim=-1)).abs().max() < error
        torch.testing.assert_close(found, expected, atol=float(expected.abs().max()) / 127, rtol=1e-3)


def test_the_file_says_what_it_was_made_from() -> None:
    features.run(params(), SHARD)
    assert made().provenance == {
        "teacher": sha256_file(artifacts.weights_file("teacher")),
        "shard": sha256_file(artifacts.shard_tar(SHARD)),
        "storage": "int8",
    }


def test_online_keeps_the_keys_alone() -> None:
    features.run(params(features__storage="online"), SHARD)
    file = made()
    assert file.keys == ShardReader(SHARD).keys
    assert "features" not in file.names
    assert file.provenance["storage"] == "online"


def test_features_do_not_depend_on_the_batch_and_repeat_to_the_byte() -> None:
    features.run(params(), SHARD)
    first = artifacts.features_file(SHARD).read_bytes()
    features.run(params(), SHARD)
    assert artifacts.features_file(SHARD).read_bytes() == first
    kept = made().whole("scale").copy()
    features.run(params(features__batch=7), SHARD)
    torch.testing.assert_close(torch.from_numpy(made().whole("scale")), torch.from_numpy(kept), rtol=1e-4, atol=1e-6)


def test_a_shard_without_images_has_no_features() -> None:
    build_shards(images=0)
    features.run(params(), SHARD)
    assert len(made()) == 0
