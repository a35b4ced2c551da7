"""One pass over shards in float64 equals two passes over everything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rectok import artifacts
from rectok.data.tensors import write_latents
from rectok.data.welford import Welford
from rectok.errors import UserError
from rectok.files import write_bytes
from rectok.params import Params
from rectok.stages import statistics
from rectok.storage.hashing import sha256_file
from tests.project import write_params


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), offset=st.floats(-1e6, 1e6), seed=st.integers(0, 99))
def test_welford_is_the_two_pass_formula(sizes: list[int], offset: float, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(offset, 0.1, (sum(sizes), 3))
    found = Welford()
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        found.add(part)
    assert found.count == len(rows)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, rows.std(0), atol=1e-8)


def keep(shard: str, splits: list[str], seed: int) -> np.ndarray:
    """Moments [n, 2, 5, 6] in a shard; those of the mirrored images differ."""
    moments = np.random.default_rng(seed).normal(3, 2, (len(splits), 2, 5, 6)).astype(np.float32)
    moments[..., 3:] = -2
    keys = [f"{seed:08x}{i:08x}" for i in range(len(splits))]
    path = artifacts.latents_file(shard)
    write_latents(path, keys, np.zeros(len(splits), np.int64), splits, moments, {})
    return moments


def test_only_training_images_as_they_are_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = write_params(tmp_path)
    write_bytes(artifacts.weights_file("tokenizer"), b"weights")
    first, second = keep("00000", ["train", "val", "train"], 1), keep("00001", ["test", "train", "val"], 2)
    statistics.run(params)
    kept = np.concatenate([first[[0, 2], 0], second[[1], 0]]).astype(np.float64)[..., :3].reshape(-1, 3)
    found = artifacts.read_json(artifacts.statistics_file())
    np.testing.assert_allclose(found["mean"], kept.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["std"], kept.std(0), rtol=1e-12)
    assert found["std_means"] == found["std"] and found["source"] == "std of the means"
    np.testing.assert_allclose(found["std_sampled"], np.sqrt(kept.var(0) + np.exp(-2)), rtol=1e-12)
    assert found["tokens"] == 15


def one_shard(folder: Path, changes: dict[str, Any]) -> Params:
    params = write_params(folder, {"index.shards": ["00000"], **changes})
    write_bytes(artifacts.weights_file("tokenizer"), b"weights")
    keep("00000", ["train"] * 4, 3)
    return params


def test_the_std_of_the_sampled_latent_can_normalise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    statistics.run(one_shard(tmp_path, {"statistics.std": "sampled"}))
    found = artifacts.read_json(artifacts.statistics_file())
    assert found["std"] == found["std_sampled"] != found["std_means"]


def given(folder: Path, content: object) -> dict[str, Any]:
    path = folder / "published.json"
    artifacts.write_json(path, content)
    return {"statistics.file": {"path": str(path), "sha256": sha256_file(path)}}


def test_given_statistics_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    published = given(tmp_path, {"mean": [1, 2, 3], "std": [0.5, 1, 2]})
    statistics.run(one_shard(tmp_path, published))
    found = artifacts.read_json(artifacts.statistics_file())
    assert (found["mean"], found["std"]) == ([1, 2, 3], [0.5, 1, 2])
    assert found["source"] == published["statistics.file"]["path"]


@pytest.mark.parametrize(
    "content,said",
    [
        ({"mean": [1, 2, 3], "std": [1, 1]}, r"3 finite numbers each.*shape \[2\]"),
        ({"mean": [1, 2, 3]}, "must be JSON with `mean` and `std`.*'std'"),
        ([1, 2], "must be JSON with `mean` and `std`"),
        ({"mean": [1, 2, 3], "std": [1, 0, 1]}, "holds a std that is not above 0"),
    ],
)
def test_given_statistics_of_no_use(
    content: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = one_shard(tmp_path, given(tmp_path, content))
    with pytest.raises(UserError, match=said):
        statistics.run(params)
    assert not artifacts.statistics_file().exists()


def test_without_training_images_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = write_params(tmp_path)
    for shard in params.index.shards:
        keep(shard, ["val", "test"], int(shard))
    with pytest.raises(UserError, match="data/latents holds no training image"):
        statistics.run(params)
    assert not artifacts.stage_dir("statistics").exists()
