"""Estimates beside the sizes of files that were really written."""

import numpy as np
import pytest

from rectok import artifacts
from rectok.data.tensors import write_features, write_latents
from rectok.params.editing import changed
from rectok.planning.sizes import disk, per_image
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny

IMAGES = 200
PARAMS = tiny(image__flip=True)
LATENT = tokenizer_config(PARAMS, 16)
KEYS = [f"{i:016x}" for i in range(IMAGES)]


pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("storage", ["int8", "float16", "online"])
def test_features(storage: str) -> None:
    one = np.ones((1, 2, LATENT.tokens, LATENT.teacher_width), np.float32)
    write_features(artifacts.features_file("00000"), KEYS, (one for _ in KEYS), storage, {})
    real = artifacts.features_file("00000").stat().st_size
    wanted = IMAGES * per_image(changed(PARAMS, {"features.storage": storage}), LATENT)["features"]
    assert wanted == pytest.approx(real, abs=1000)  # the header


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_latents(storage: str) -> None:
    moments = np.ones((IMAGES, 2, LATENT.tokens, 2 * LATENT.sizes.channels), storage)
    path = artifacts.latents_file("00000")
    write_latents(path, KEYS, np.zeros(IMAGES, np.int64), ["train"] * IMAGES, moments, {})
    wanted = IMAGES * per_image(changed(PARAMS, {"latents.storage": storage}), LATENT)["latents"]
    assert wanted == pytest.approx(path.stat().st_size, abs=1000)


def test_everything_grows_with_images_but_the_weights() -> None:
    one, ten = (disk(PARAMS, LATENT, images, weights=50) for images in (1, 10))
    assert {name for name in one if ten[name] == pytest.approx(10 * one[name])} == {"shards", "features", "latents"}
    assert (one["weights"], one["largest checkpoints"]) == (400, 2000)
