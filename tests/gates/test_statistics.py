"""Collapsed channels, strangers and statistics that do not normalise are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rectok import artifacts
from rectok.artifacts import Check
from rectok.data.tensors import write_latents
from rectok.files import write_bytes
from rectok.gates.statistics import check
from rectok.stages import statistics
from rectok.storage.hashing import sha256_file
from tests.project import write_params

CHANNELS = 4
LIMITS = {"max_mean": 0.05, "max_std_error": 0.05, "min_std": 1e-6, "max_collapsed": 0.0}


def keep(spread: list[float], logvar: float) -> None:
    """One shard of 40 images whose means have the std `spread`, channel by channel."""
    random = np.random.default_rng(0)
    means = 1 + random.standard_normal((40, 1, 8, CHANNELS)) * np.array(spread)
    moments = np.concatenate([means, np.full_like(means, logvar)], axis=-1).astype(np.float32)
    write_bytes(artifacts.weights_file("tokenizer"), b"weights")
    provenance = {"tokenizer": sha256_file(artifacts.weights_file("tokenizer"))}
    keys = [f"{row:016x}" for row in range(40)]
    write_latents(artifacts.latents_file("00000"), keys, np.zeros(40, np.int64), ["train"] * 40, moments, provenance)


def checked(folder: Path, std: str = "means", changes: dict[str, Any] | None = None) -> dict[str, Check]:
    params = write_params(
        folder,
        {"index.shards": ["00000"], "statistics.std": std, "gates.statistics": LIMITS, **(changes or {})},
    )
    if not artifacts.statistics_file().exists():
        statistics.run(params)
    return {found.name: found for found in check(params)}


def failed(found: dict[str, Check]) -> set[str]:
    return {name for name, one in found.items() if not one.passed}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("std", ["means", "sampled"])
def test_statistics_of_these_latents_pass(std: str, folder: Path) -> None:
    keep([1.0, 2.0, 0.5, 1.0], logvar=-4)
    assert not failed(checked(folder, std))


def test_a_collapsed_channel_stops_where_the_means_normalise(folder: Path) -> None:
    keep([1.0, 0.01, 0.5, 1.0], logvar=0)
    collapsed = checked(folder)["collapsed channels"]
    assert (collapsed.passed, collapsed.severity, collapsed.value) == (False, "ERROR", 0.25)
    assert "(1 of 4)" in collapsed.message and "set statistics.std to sampled" in collapsed.message


def test_a_collapsed_channel_is_only_told_where_samples_normalise(folder: Path) -> None:
    keep([1.0, 0.01, 0.5, 1.0], logvar=0)
    found = checked(folder, "sampled")
    assert failed(found) == {"collapsed channels"}
    assert found["collapsed channels"].severity == "WARN"


def test_statistics_of_other_latents_do_not_normalise(folder: Path) -> None:
    keep([1.0, 1.0, 1.0, 1.0], logvar=-4)
    checked(folder)
    keep([2.0, 1.0, 1.0, 1.0], logvar=-4)
    assert failed(checked(folder)) == {"normalised std"}


def test_given_statistics_only_warn_where_they_do_not_normalise(folder: Path) -> None:
    keep([1.0, 1.0, 1.0, 1.0], logvar=-4)
    path = folder / "published.json"
    artifacts.write_json(path, {"mean": [0.0] * CHANNELS, "std": [2.0] * CHANNELS})
    found = checked(folder, changes={"statistics.file": {"path": str(path), "sha256": sha256_file(path)}})
    assert failed(found) == {"normalised mean", "normalised std"}
    assert {found[name].severity for name in failed(found)} == {"WARN"}


def test_another_tokenizer_is_noticed(folder: Path) -> None:
    keep([1.0, 1.0, 1.0, 1.0], logvar=-4)
    checked(folder)
    write_bytes(artifacts.weights_file("tokenizer"), b"other weights")
    assert failed(checked(folder)) == {"tokenizer", "latents' tokenizer"}
