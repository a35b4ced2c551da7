import shutil
from pathlib import Path

import numpy as np
import pytest

from rectok import artifacts
from rectok.artifacts import Check
from rectok.data.tensors import write_latents
from rectok.gates import latents as gate
from tests.data import project
from tests.data.files import params

SHARD = "00000"
COUNT = project.SIZES[SHARD]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project.build()


def write(moments: np.ndarray, first_label: int = 0) -> None:
    keys = [project.key(SHARD, row) for row in range(COUNT)]
    labels = (np.arange(COUNT) + first_label) % 3
    write_latents(
        artifacts.latents_file(SHARD), keys, labels, [project.split(row) for row in range(COUNT)], moments, {}
    )


def found(shard: str = SHARD) -> dict[str, Check]:
    return {check.name: check for check in gate.check(params(), shard)}


def failed() -> dict[str, str]:
    return {name: check.message for name, check in found().items() if not check.passed}


def test_good_latents_pass_with_the_largest_mean() -> None:
    checks = found()
    assert not failed()
    largest = np.abs(project.moments(SHARD)[..., : project.CHANNELS]).max()
    assert checks["largest mean"].value == pytest.approx(float(largest))


def test_an_empty_shard_passes() -> None:
    assert all(check.passed for check in found("00001").values())


def test_a_mean_out_of_range_is_named_and_a_log_variance_is_not() -> None:
    moments = project.moments(SHARD)
    moments[5, 1, 2, project.CHANNELS] = -1e4
    write(moments)
    assert not failed()
    moments[5, 1, 2, 0] = -60
    write(moments)
    assert set(failed()) == {"largest mean"}
    assert f"in row 5 (key {project.key(SHARD, 5)}), is 60, but must be ≤ 50" in failed()["largest mean"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    moments = project.moments(SHARD)
    moments[3, 0, 1, -1] = bad
    write(moments)
    assert set(failed()) == {"finite"}
    assert f"row 3 (key {project.key(SHARD, 3)}) holds a value that is not finite" in failed()["finite"]


def test_a_damaged_row_is_named() -> None:
    path, row = artifacts.latents_file(SHARD), project.moments(SHARD)[8].tobytes()
    content = path.read_bytes()
    path.write_bytes(content.replace(row, bytes([row[0] ^ 1]) + row[1:]))
    assert set(failed()) == {"intact"}
    assert f"row 8 (key {project.key(SHARD, 8)}) is not what was written" in failed()["intact"]


def test_latents_of_other_images_are_refused() -> None:
    write(project.moments(SHARD), first_label=1)
    assert "latents of shard 00000 belong to other images" in failed()["images"]
    shutil.copy(artifacts.latents_file("00002"), artifacts.latents_file(SHARD))
    assert "7 rows for 12 images" in failed()["images"]


@pytest.mark.parametrize("place", ["head", "tail"])
def test_damage_anywhere_is_a_failed_check(place: str) -> None:
    path = artifacts.latents_file(SHARD)
    content = bytearray(path.read_bytes())
    if place == "head":
        content[content.index(b'"shape":[12,2') + len('"shape":[')] = ord("9")
    else:
        content[-1] = 255  # the split of the last image
    path.write_bytes(content)
    assert failed().keys() == {"readable"}
    assert failed()["readable"].startswith(f"the latents of shard {SHARD} cannot be read: ")
