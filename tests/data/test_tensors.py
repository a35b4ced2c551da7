import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from rectok.data.tensors import FeaturesFile, LatentsFile, dequantise, quantise, write_features, write_latents
from rectok.errors import UserError

KEYS = [f"{i:016x}" for i in range(6)]
FEATURES = np.random.default_rng(0).normal(size=(6, 2, 4, 10)).astype(np.float32)
MOMENTS = np.random.default_rng(1).normal(size=(6, 2, 4, 6)).astype(np.float32)


@given(arrays(np.float32, (3, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_quantisation_error_is_at_most_half_a_step(x: np.ndarray) -> None:
    q, scale = quantise(x)
    error = np.abs(dequantise(q, scale).astype(np.float64) - x)
    # The half step, plus one float32 rounding of the product and one of the scale, which is subnormal below 1e-38.
    bound = 0.5 * scale + np.abs(x).max(-1, keepdims=True) * 2.0**-22 + 127 * 2.0**-149
    assert (error <= bound).all()
    assert np.abs(q).max() <= 127


def test_the_largest_value_of_a_token_is_exact_and_zero_stays_zero() -> None:
    q, scale = quantise(np.array([[0.0, 0.0], [-12.7, 3.0]], np.float32))
    assert q.tolist() == [[0, 0], [-127, 30]]
    np.testing.assert_allclose(dequantise(q, scale), [[0, 0], [-12.7, 3.0]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_stay_visible(bad: float) -> None:
    x = np.ones((2, 4), np.float32)
    x[1, 2] = bad
    values = dequantise(*quantise(x))
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[1]).all()


@pytest.mark.parametrize("storage,tolerance", [("int8", 0.02), ("float16", 2e-3)])
def test_features_are_read_by_row_and_orientation(tmp_path: Path, storage: str, tolerance: float) -> None:
    path = tmp_path / "f.safetensors"
    write_features(path, KEYS, [FEATURES[:4], FEATURES[4:]], storage, {"teacher": "abc"})
    file = FeaturesFile(path)
    assert (len(file), file.orientations, file.keys) == (6, 2, KEYS)
    assert file.provenance == {"teacher": "abc", "storage": storage}
    for row in (5, 0):
        for flipped in (False, True):
            values = file.read(row, flipped)
            assert values.dtype == np.float32
            np.testing.assert_allclose(values, FEATURES[row, int(flipped)], atol=tolerance)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(file)).read(1, True), file.read(1, True))


def test_online_storage_keeps_only_keys(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    write_features(path, KEYS, (), "online", {})
    file = FeaturesFile(path)
    assert (file.keys, file.orientations, file.damaged_rows()) == (KEYS, 0, [])
    assert "features" not in load_file(path)


def test_a_missing_batch_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="4 rows of features for 6 keys"):
        write_features(tmp_path / "f.safetensors", KEYS, [FEATURES[:4]], "int8", {})


def latents(path: Path) -> LatentsFile:
    splits = ["train", "val", "test", "train", "train", "val"]
    write_latents(path, KEYS, np.arange(6), splits, MOMENTS, {"tokenizer": "abc"})
    return LatentsFile(path)


def test_latents_keep_moments_labels_and_splits(tmp_path: Path) -> None:
    file = latents(tmp_path / "l.safetensors")
    np.testing.assert_array_equal(file.read(3, True), MOMENTS[3, 1])
    assert file.labels.tolist() == list(range(6))
    assert file.splits.tolist() == [0, 1, 2, 0, 0, 1]
    assert file.provenance == {"tokenizer": "abc"}


def test_half_precision_latents_are_read_as_stored_by_row_and_as_float32_in_runs(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    write_latents(path, KEYS, np.arange(6), ["train"] * 6, MOMENTS.astype(np.float16), {})
    file = LatentsFile(path)
    assert load_file(path)["moments"].dtype == np.float16
    assert (file.read(3, True).dtype, file.unflipped(1, 4).dtype) == (np.float16, np.float32)
    np.testing.assert_array_equal(file.read(3, True), MOMENTS[3, 1].astype(np.float16))
    np.testing.assert_allclose(file.unflipped(1, 4), MOMENTS[1:4, 0], rtol=1e-3)
    assert file.damaged_rows() == []


def test_an_empty_shard_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    write_latents(path, [], np.zeros(0, np.int64), [], MOMENTS[:0], {})
    assert (len(LatentsFile(path)), LatentsFile(path).keys, LatentsFile(path).damaged_rows()) == (0, [], [])


def test_damage_is_found_by_row(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    assert latents(path).damaged_rows() == []
    content, row = path.read_bytes(), MOMENTS[4].tobytes()
    at = content.index(row) + 10
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert LatentsFile(path).damaged_rows() == [4]


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    latents(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"l\.safetensors is damaged"):
        LatentsFile(path).read(0, False)


def test_bytes_do_not_change_from_process_to_process(tmp_path: Path) -> None:
    script = (
        "import sys, numpy as np, pathlib; from rectok.data.tensors import write_features; "
        "write_features(pathlib.Path(sys.argv[1]), ['0' * 16], [np.ones((1, 1, 2, 3), np.float32)], 'int8', "
        "{'teacher': 'a', 'shard': 'b', 'c': 'd'})"
    )
    paths = [tmp_path / f"{i}.safetensors" for i in range(4)]
    for path in paths:
        subprocess.run([sys.executable, "-c", script, path], check=True)
    assert len({path.read_bytes() for path in paths}) == 1
