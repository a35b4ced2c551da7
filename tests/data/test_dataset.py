from pathlib import Path

import numpy as np
import pytest
import torch

from rectok import artifacts
from rectok.data.dataset import ImageDataset, LatentDataset
from rectok.data.tensors import FeaturesFile, write_features
from rectok.errors import UserError
from tests.data import project


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project.build()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_spans_all_shards(split: str) -> None:
    dataset, places = ImageDataset(project.SHARDS, split), project.places(split)
    assert len(dataset) == len(places) > 0
    assert dataset.keys == [project.key(*place) for place in places]
    assert dataset.labels.tolist() == [row % 3 for _, row in places]
    for position, place in enumerate(places):
        np.testing.assert_array_equal(dataset.image(position).permute(1, 2, 0).numpy(), project.pixels(*place))


def test_batches_mirror_images_and_take_the_features_of_the_mirrored_ones() -> None:
    dataset, places = ImageDataset(project.SHARDS, "train", features=True), project.places("train")
    batch = dataset.batch([7, 0], [True, False])
    assert (batch.image.dtype, batch.image.shape) == (torch.uint8, (2, 3, project.SIDE, project.SIDE))
    np.testing.assert_array_equal(batch.image[0].permute(1, 2, 0).numpy(), project.pixels(*places[7])[:, ::-1])
    np.testing.assert_array_equal(batch.image[1].permute(1, 2, 0).numpy(), project.pixels(*places[0]))
    assert batch.label.tolist() == [places[7][1] % 3, places[0][1] % 3]
    for values, (shard, row), flipped in zip(batch.teacher_features(), (places[7], places[0]), (1, 0), strict=True):
        np.testing.assert_allclose(values.numpy(), project.features(shard)[row, flipped], atol=2e-3)


@pytest.mark.parametrize("storage,dtype", [("int8", torch.int8), ("float16", torch.float16)])
def test_features_travel_as_they_are_stored_and_become_the_floats_of_the_file(storage: str, dtype: torch.dtype) -> None:
    shard, features = "00000", project.features("00000")
    features[1, :, 2] = np.nan
    keys = [project.key(shard, row) for row in range(len(features))]
    write_features(artifacts.features_file(shard), keys, [features], storage, {})
    dataset, file = ImageDataset([shard], "train", features=True), FeaturesFile(artifacts.features_file(shard))
    flipped = [position % 2 == 1 for position in range(len(dataset))]
    batch = dataset.batch(range(len(dataset)), flipped)
    assert batch.features is not None and batch.features.dtype == dtype
    assert (batch.scale is not None) == (storage == "int8")
    expected = np.stack([file.read(int(row), f) for (_, row), f in zip(dataset.places, flipped, strict=True)])
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(batch.teacher_features().numpy(), expected)


def test_features_of_two_storages_are_refused() -> None:
    shard = "00002"
    keys = [project.key(shard, row) for row in range(project.SIZES[shard])]
    write_features(artifacts.features_file(shard), keys, [project.features(shard)], "int8", {})
    with pytest.raises(UserError, match=r"float16 in .*00001\.safetensors and int8 in .*00002\.safetensors"):
        ImageDataset(project.SHARDS, "train", features=True)


def test_without_features_a_batch_has_none() -> None:
    assert ImageDataset(project.SHARDS, "train").batch([0], [False]).features is None


def test_features_of_other_images_are_refused() -> None:
    write_features(artifacts.features_file("00002"), ["0" * 16], [project.features("00002")[:1]], "int8", {})
    with pytest.raises(UserError, match=r"features/00002\.safetensors was made from other images"):
        ImageDataset(project.SHARDS, "train", features=True)


def test_latents_of_a_split() -> None:
    dataset, places = LatentDataset(project.SHARDS, "val"), project.places("val")
    assert len(dataset) == len(places)
    batch = dataset.batch([2, 1], [False, True])
    for values, (shard, row), flipped in zip(batch.moments, (places[2], places[1]), (0, 1), strict=True):
        np.testing.assert_array_equal(values.numpy(), project.moments(shard)[row, flipped])
    assert batch.label.tolist() == [places[2][1] % 3, places[1][1] % 3]
    assert batch.label.dtype == torch.int64


def test_latents_come_with_the_features_of_the_same_images() -> None:
    images, latents = (kind(project.SHARDS, "train", features=True) for kind in (ImageDataset, LatentDataset))
    positions, flipped = [5, 0, 2], [True, False, True]
    theirs, ours = images.batch(positions, flipped), latents.batch(positions, flipped)
    assert torch.equal(ours.teacher_features(), theirs.teacher_features())
    assert torch.equal(ours.moments, LatentDataset(project.SHARDS, "train").batch(positions, flipped).moments)
    write_features(artifacts.features_file("00002"), ["0" * 16], [project.features("00002")[:1]], "int8", {})
    with pytest.raises(UserError, match=r"features/00002\.safetensors was made from other images than .*latents/00002"):
        LatentDataset(project.SHARDS, "train", features=True)


def test_batches_move_to_a_device() -> None:
    device, shard = torch.device("meta"), "00002"
    keys = [project.key(shard, row) for row in range(project.SIZES[shard])]
    write_features(artifacts.features_file(shard), keys, [project.features(shard)], "int8", {})
    images = ImageDataset([shard], "train", features=True).batch([0], [False]).to(device)
    latents = LatentDataset(project.SHARDS, "train").batch([0], [False]).to(device)
    tensors = (images.image, images.label, images.features, images.scale, latents.moments, latents.label)
    assert [tensor.device.type for tensor in tensors if tensor is not None] == ["meta"] * 6
