from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rectok import artifacts
from rectok.artifacts import Check
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import FeaturesFile, write_features
from rectok.gates import features as gate
from rectok.params import Params
from rectok.stages import features as stage
from rectok.teacher.loading import save_network
from tests.teacher.networks import network
from tests.teacher.project import build_shards, params

SHARD = "00000"
Features = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_shards()
    save_network(artifacts.stage_dir("teacher"), network(params().teacher.network, 3), {})


def checks(of: Params) -> dict[str, Check]:
    return {c.name: c for c in gate.check(of, SHARD)}


def failed(of: Params) -> dict[str, str]:
    return {name: c.message for name, c in checks(of).items() if not c.passed and c.severity == "ERROR"}


def rewrite(change: Callable[[Features], None], keys: list[str] | None = None) -> None:
    """Write the file again as float16, with `change` made to the features [n, o, N, D]."""
    file = FeaturesFile(artifacts.features_file(SHARD))
    orientations = range(file.orientations)
    content = np.stack([np.stack([file.read(row, bool(o)) for o in orientations]) for row in range(len(file))])
    change(content)
    kept, provenance = file.keys, file.provenance
    write_features(artifacts.features_file(SHARD), keys or kept, [content], "float16", provenance)


FLOAT16 = {"features__storage": "float16"}


@pytest.mark.parametrize("storage", ["int8", "float16"])
@pytest.mark.parametrize("flip", [False, True])
def test_good_features_pass_and_their_error_is_measured(storage: str, flip: bool) -> None:
    of = params(features__storage=storage, image__flip=flip)
    stage.run(of, SHARD)
    found = checks(of)
    assert all(c.passed for c in found.values())
    error = found["cosine error"].value
    assert isinstance(error, float) and 0 < error < 1e-4


def test_online_features_are_keys_alone() -> None:
    of = params(features__storage="online")
    stage.run(of, SHARD)
    found = checks(of)
    assert list(found) == ["keys", "made from this teacher", "made from this shard", "storage"]
    assert all(c.passed for c in found.values())


def test_a_damaged_row_is_named() -> None:
    of = params()
    stage.run(of, SHARD)
    path = artifacts.features_file(SHARD)
    content = bytearray(path.read_bytes())
    row = FeaturesFile(path).rows("features", [41], [False]).tobytes()
    content[content.index(row) + 3] ^= 0x40
    path.write_bytes(content)
    assert failed(of) == {"intact": "shard 00000 row 41: other bytes than were written"}


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", None], ids=["empty", "foreign", "truncated"])
def test_an_unreadable_file_names_the_shard(content: bytes | None) -> None:
    of = params()
    stage.run(of, SHARD)
    path = artifacts.features_file(SHARD)
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    found = failed(of)
    assert list(found) == ["readable"]
    assert found["readable"].startswith("the features of shard 00000 cannot be read: data/features/00000.safetensors")


def test_a_value_that_is_not_finite_names_its_row() -> None:
    def spoil(content: Features) -> None:
        content[[17, 30], 0, 2, 1] = [np.nan, np.inf]

    of = params(**FLOAT16)
    stage.run(of, SHARD)
    rewrite(spoil)
    assert failed(of)["finite"] == "shard 00000 row 17 and 1 more: values not finite"


def test_a_norm_out_of_range_names_its_row() -> None:
    def spoil(content: Features) -> None:
        content[:] /= 100
        content[23, 0, 1] *= 1e4

    of = params(**FLOAT16)
    stage.run(of, SHARD)
    rewrite(spoil)
    assert failed(of)["norm spread"].startswith("shard 00000 row 23: largest token norm over the median is ")


def test_an_empty_token_is_a_warning() -> None:
    def spoil(content: Features) -> None:
        content[5, 0, 0] = 0

    of = params(**FLOAT16)
    stage.run(of, SHARD)
    rewrite(spoil)
    found = checks(of)["no empty token"]
    assert (found.passed, found.severity) == (False, "WARN")
    assert found.message == "shard 00000 row 5: tokens that are zero"


def test_keys_of_other_images_name_the_row() -> None:
    of = params(**FLOAT16)
    stage.run(of, SHARD)
    keys = ShardReader(SHARD).keys
    swapped = [*keys[:8], keys[9], keys[8], *keys[10:]]
    rewrite(lambda content: None, swapped)
    assert failed(of) == {"keys": f"shard 00000 row 8 has key {keys[9]}, but the shard's image is {keys[8]}"}


def test_features_of_fewer_images_are_an_error() -> None:
    of = params()
    stage.run(of, SHARD)
    build_shards(images=61)
    assert failed(of)["keys"] == "shard 00000 has features of 60 images, but holds 61"


def test_features_of_another_teacher_or_shard_are_an_error() -> None:
    of = params()
    stage.run(of, SHARD)
    save_network(artifacts.stage_dir("teacher"), network(of.teacher.network, 3, seed=1), {})
    assert list(failed(of)) == ["made from this teacher"]
    stage.run(of, SHARD)
    assert failed(of) == {}
    tar = artifacts.shard_tar(SHARD)
    tar.write_bytes(tar.read_bytes() + b"\0")
    assert list(failed(of)) == ["made from this shard"]


def test_features_in_another_storage_or_shape_are_an_error() -> None:
    stage.run(params(), SHARD)
    assert failed(params(**FLOAT16)) == {"storage": "shard 00000 is stored as int8, but float16 was asked for"}
    expected = "shard 00000 has 1 orientations of 4 tokens, but 2 of 4 are needed"
    assert failed(params(image__flip=True)) == {"shape": expected}
    expected = "shard 00000 has 1 orientations of 4 tokens, but 1 of 16 are needed"
    assert failed(params(tokenizer__sizes__patch=4)) == {"shape": expected}


def test_features_that_the_teacher_does_not_give_are_an_error() -> None:
    def spoil(content: Features) -> None:
        content[59] = content[59, :, :, ::-1]

    of = params(**FLOAT16)
    stage.run(of, SHARD)
    rewrite(spoil)
    found = failed(of)
    assert list(found) == ["cosine error"]
    assert found["cosine error"].startswith("shard 00000 row 59: 1 − cosine of stored and recomputed features is ")
    assert failed(params(**FLOAT16, gates__features__max_cosine_error=2.0)) == {}


def test_as_many_images_are_recomputed_as_asked_for() -> None:
    def spoil(content: Features) -> None:
        content[1:59] = content[1:59, :, :, ::-1]

    of = params(**FLOAT16, gates__features__recomputed=2)
    stage.run(of, SHARD)
    rewrite(spoil)
    assert failed(of) == {}
    assert list(failed(params(**FLOAT16, gates__features__recomputed=3))) == ["cosine error"]


def test_a_shard_without_images_passes() -> None:
    build_shards(images=0)
    stage.run(params(), SHARD)
    assert failed(params()) == {}
