from pathlib import Path

import numpy as np
import pytest
import torch

from rectok import artifacts
from rectok.evaluation.probe import ClassSubset, Noising, linear_accuracy, pool
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer, from_bytes, sample_posterior
from tests.evaluation import project


@pytest.fixture
def tokenizer(here: Path) -> Tokenizer:
    project.build_shards()
    project.build_models()
    return load_tokenizer(artifacts.stage_dir("tokenizer"))


def test_separable_classes_are_told_apart_and_noise_is_not() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 100)
    noise = random.standard_normal((400, 8)).astype(np.float32)
    marked = noise + 8 * np.eye(4, 8, dtype=np.float32)[labels]
    even, odd = slice(0, None, 2), slice(1, None, 2)
    assert linear_accuracy(marked[even], labels[even], marked[odd], labels[odd], 1.0) == 1.0
    assert linear_accuracy(noise[even], labels[even], noise[odd], labels[odd], 1.0) < 0.45


def test_standardisation_makes_the_scale_of_features_irrelevant() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(2), 50)
    features = (random.standard_normal((100, 3)) + labels[:, None]).astype(np.float32)
    scaled = features * np.array([1e-3, 1, 1e3], np.float32) + 7
    assert linear_accuracy(scaled, labels, scaled, labels, 1.0) == linear_accuracy(
        features, labels, features, labels, 1.0
    )


def test_few_images_are_the_first_of_every_class_by_key(here: Path) -> None:
    project.build_shards()
    images = project.train_split()
    few = ClassSubset(images, 2)
    assert len(few) == 6
    assert sorted(few.labels) == [0, 0, 1, 1, 2, 2]
    for position, key in enumerate(few.keys):
        original = images.keys.index(key)
        assert images.labels[original] == few.labels[position]
        assert torch.equal(few.image(position), images.image(original))
    for label in range(3):
        of_class = sorted(key for key, found in zip(images.keys, images.labels, strict=True) if found == label)
        assert [key for key, found in zip(few.keys, few.labels, strict=True) if found == label] == of_class[:2]
    assert len(ClassSubset(images, 100)) == len(images)


def test_pooled_features_do_not_depend_on_the_batch(tokenizer: Tokenizer) -> None:
    noising = Noising((0.0, 0.5), views=2, scale=1.0, seed=0)
    images = project.train_split()
    small, large = (pool(tokenizer, images, noising, batch, "cpu") for batch in (16, 32))
    assert np.array_equal(small.latent, large.latent)
    other = pool(tokenizer, images, noising, 5, "cpu")
    # Views are the outer order within a batch, so compare as sets of (label, feature).
    assert np.allclose(np.sort(other.latent, axis=1), np.sort(small.latent, axis=1), atol=1e-6)
    assert sorted(other.labels) == sorted(small.labels)


def test_pooled_latent_at_zero_is_the_mean_of_posterior_draws(tokenizer: Tokenizer) -> None:
    images = project.train_split()
    pixels = torch.stack([images.image(i) for i in range(len(images))])
    moments = tokenizer.encode(from_bytes(pixels))
    means = sample_posterior(moments, torch.zeros_like(moments[..., :4])).mean(1)
    spread = torch.exp(0.5 * moments[..., 4:]).square().sum(1).sqrt() / moments.shape[1]
    found = pool(tokenizer, images, Noising((0.0,), views=1, scale=1.0, seed=0), 16, "cpu").latent[0]
    deviations = (torch.from_numpy(found) - means) / spread
    assert deviations.abs().max() < 5
    assert deviations.std() == pytest.approx(1.0, abs=0.25)


def test_noise_takes_the_share_t_of_the_features(tokenizer: Tokenizer) -> None:
    images = project.train_split()
    noising = Noising((0.9,), views=200, scale=2.0, seed=0)
    found = pool(tokenizer, images, noising, 16, "cpu").latent[0].reshape(200, 16, 4)
    # Averaged over 16 tokens, t·γ·ε has the standard deviation 0.9·2/4; the posterior hardly adds to it.
    assert found.std(0).mean() == pytest.approx(0.45, rel=0.1)


def test_seeds_belong_to_image_view_and_time(tokenizer: Tokenizer) -> None:
    images = project.train_split()
    once = pool(tokenizer, images, Noising((0.5,), views=1, scale=1.0, seed=0), 16, "cpu")
    twice = pool(tokenizer, images, Noising((0.25, 0.5), views=2, scale=1.0, seed=0), 16, "cpu")
    other = pool(tokenizer, images, Noising((0.5,), views=1, scale=1.0, seed=1), 16, "cpu")
    assert np.array_equal(once.latent[0], twice.latent[1, :16])
    assert not np.allclose(twice.latent[1, :16], twice.latent[1, 16:])
    assert not np.allclose(once.latent, other.latent)
    assert once.semantic.shape == (16, 16)
