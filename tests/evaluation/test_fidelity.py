from pathlib import Path

import numpy as np
import pytest
import torch

from rectok.evaluation.fidelity import (
    Features,
    ReferenceFeatures,
    extract_features,
    fidelity,
    frechet,
    inception_splits,
    reference_features,
)
from rectok.evaluation.image_sets import TensorImages
from rectok.evaluation.metric_network import LOGITS, POOLED, MetricNetwork, load_metric_network
from rectok.evaluation.reference import Reference, Statistics, load_reference
from tests.errors import user_error
from tests.evaluation import project


@pytest.fixture
def metric_network(here: Path) -> MetricNetwork:
    return project.build_metric_network()


def pooled(metric_network: MetricNetwork, images: torch.Tensor) -> np.ndarray:
    return metric_network.model.features_and_logits(images.float() / 255)[0].double().numpy()


def features_of(images: torch.Tensor, metric_network: MetricNetwork) -> Features:
    return extract_features(TensorImages(images), metric_network)


def as_reference(images: torch.Tensor, metric_network: MetricNetwork) -> ReferenceFeatures:
    return reference_features(Reference(TensorImages(images), None, ""), metric_network)


def distance(images: torch.Tensor, reference: Reference, metric_network: MetricNetwork) -> float:
    return frechet(features_of(images, metric_network), reference_features(reference, metric_network))


def test_it_gives_the_models_features_in_float64_under_their_names(metric_network: MetricNetwork) -> None:
    images = project.pictures(4)
    named = metric_network.convert_features_tuple_to_dict(metric_network(images))
    logits, features = named[LOGITS], named[POOLED]
    assert logits.dtype == features.dtype == torch.float64
    assert torch.equal(logits, metric_network.model.logits(images.float() / 255).double())
    assert torch.equal(features, metric_network.model.features_and_logits(images.float() / 255)[0].double())


def test_one_image_has_no_frechet_distance(metric_network: MetricNetwork) -> None:
    images = project.pictures(12)
    reference = as_reference(images, metric_network)
    with user_error("two images or more on either side, and one side has 1"):
        frechet(features_of(images[:1], metric_network), reference)
    with user_error("two images or more on either side, and one side has 1"):
        as_reference(images[:1], metric_network)


def test_frechet_distance_of_a_diverged_generator_is_no_number(metric_network: MetricNetwork) -> None:
    images = project.pictures(12)
    features = features_of(images, metric_network)
    diverged = Statistics("", np.full(features.pooled.shape[1], np.nan), np.eye(features.pooled.shape[1]))
    assert np.isnan(frechet(features, ReferenceFeatures(features.pooled, diverged)))


def test_frechet_distance_of_gaussians_with_equal_covariance_is_the_squared_distance_of_means(
    metric_network: MetricNetwork,
) -> None:
    images = project.pictures(12)
    features = pooled(metric_network, images)
    mu, sigma = features.mean(0), np.cov(features, rowvar=False)
    shifted = Statistics("there.npz", mu + 0.5, sigma)
    expected = 0.25 * len(mu)
    assert distance(images, Reference(TensorImages(images), shifted, ""), metric_network) == pytest.approx(
        expected, rel=1e-4
    )


def test_statistics_and_images_give_the_same_distance(metric_network: MetricNetwork) -> None:
    images, others = project.pictures(12), project.pictures(15, first=100)
    features = pooled(metric_network, others)
    statistics = Statistics("there.npz", features.mean(0), np.cov(features, rowvar=False))
    by_images = distance(images, Reference(TensorImages(others), None, ""), metric_network)
    assert by_images > 0
    assert distance(images, Reference(TensorImages(others), statistics, ""), metric_network) == pytest.approx(
        by_images, rel=1e-3, abs=1e-4
    )


def test_precision_and_recall_know_equal_and_distant_sets(metric_network: MetricNetwork) -> None:
    images = project.pictures(12)
    features = features_of(images, metric_network)
    itself, inverted = as_reference(images, metric_network), as_reference(255 - images, metric_network)
    same, far = fidelity(features, itself, 2), fidelity(features, inverted, 2)
    assert (same["precision"], same["recall"]) == (1.0, 1.0)
    assert frechet(features, itself) == pytest.approx(0, abs=1e-4)
    assert (far["precision"], far["recall"]) == (0.0, 0.0)
    assert frechet(features, inverted) > 0
    assert far["kid"] > same["kid"]
    assert far["inception_score"] == same["inception_score"] >= 1.0


def test_features_do_not_depend_on_the_batch(metric_network: MetricNetwork) -> None:
    images = project.pictures(12)
    features = features_of(images, metric_network)
    by_five = features_of(images, load_metric_network(Path("data/metric_network"), "cpu", 5))
    torch.testing.assert_close(by_five.pooled, features.pooled)
    torch.testing.assert_close(by_five.logits, features.logits)


def test_of_large_sets_all_images_make_the_fid_and_evenly_spaced_ones_the_rest(
    metric_network: MetricNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = features_of(project.pictures(13), metric_network)
    reference = as_reference(project.pictures(9, first=100), metric_network)
    some = Features(features.pooled[::3], features.logits[::3])
    some_reference = ReferenceFeatures(reference.pooled[::2], reference.statistics)
    expected, fid = fidelity(some, some_reference, 1), frechet(features, reference)
    monkeypatch.setattr("rectok.evaluation.fidelity.PAIRED", 5)
    spaced = fidelity(features, reference, 1)
    assert (spaced["precision"], spaced["recall"], spaced["kid"]) == (
        expected["precision"],
        expected["recall"],
        expected["kid"],
    )
    assert frechet(features, reference) == fid != frechet(some, some_reference)


def test_too_few_images_for_the_neighbours_are_a_sentence(metric_network: MetricNetwork) -> None:
    with user_error(r"generation\.neighbours is 3, .* only 3 images"):
        fidelity(features_of(project.pictures(4), metric_network), as_reference(project.pictures(3), metric_network), 3)


@pytest.mark.parametrize(("samples", "splits"), [(15, 1), (500, 1), (1000, 2), (4999, 9), (5000, 10), (50_000, 10)])
def test_inception_splits_grow_to_ten(samples: int, splits: int) -> None:
    assert inception_splits(samples) == splits


def test_accuracy_is_the_share_of_right_labels(metric_network: MetricNetwork) -> None:
    images = project.pictures(10)
    logits = features_of(images, metric_network).logits
    labels = metric_network.model.features_and_logits(images.float() / 255)[1].argmax(1)
    assert metric_network.accuracy(logits, labels) == 1.0
    labels[:3] = (labels[:3] + 1) % 3
    assert metric_network.accuracy(logits, labels) == 0.7


def test_a_metric_network_of_other_classes_is_a_sentence(metric_network: MetricNetwork) -> None:
    metric_network.require_classes(3)
    with user_error("regnetx_002 tells 3 classes apart, but the images have 5"):
        metric_network.require_classes(5)


def test_reference_is_the_train_split_or_the_npz_file(metric_network: MetricNetwork) -> None:
    project.build_shards()
    train = project.train_split()
    empty = load_reference("", train)
    assert (len(empty.images), empty.statistics) == (16, None)
    assert torch.equal(empty.images.image(15), train.image(15))
    np.savez("adm.npz", mu=np.zeros(4, np.float32), sigma=np.eye(4), arr_0=np.ones((5, 8, 6, 3), np.uint8))
    full = load_reference("adm.npz", train)
    assert full.statistics is not None
    assert full.statistics.mu.dtype == np.float64
    assert full.images.image(0).shape == (3, 8, 6)
    np.savez("bare.npz", mu=np.zeros(4), sigma=np.eye(4))
    assert len(load_reference("bare.npz", train).images) == 16


def test_a_reference_that_does_not_fit_is_a_sentence(metric_network: MetricNetwork) -> None:
    project.build_shards()
    train = project.train_split()
    np.savez("half.npz", mu=np.zeros(4))
    with user_error(r"half\.npz has no array sigma"):
        load_reference("half.npz", train)
    with user_error(r"gone\.npz does not exist; it must be an npz file"):
        load_reference("gone.npz", train)
    np.savez("other.npz", mu=np.zeros(4), sigma=np.eye(4))
    with user_error(r"other\.npz holds statistics of 4 features, but the metric network has 368"):
        reference_features(load_reference("other.npz", train), metric_network)
