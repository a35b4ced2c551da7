from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_fidelity.utils import create_feature_extractor

from rectok.errors import UserError
from rectok.evaluation.extractor import LOGITS, NAME, POOLED, extractor_options
from rectok.evaluation.fidelity import Features, Target, fidelity, frechet, inception_splits, seen, target
from rectok.evaluation.image_sets import Stack
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.reference import Reference, Statistics, load_reference
from tests.evaluation import project


@pytest.fixture
def metric_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MetricNetwork:
    monkeypatch.chdir(tmp_path)
    return project.build_metric_network()


def pictures(count: int, first: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([project.picture(i % 3, first + i) for i in range(count)]))


def pooled(metric_network: MetricNetwork, images: torch.Tensor) -> np.ndarray:
    return metric_network.model.judged(images.float() / 255)[0].double().numpy()


def distance(images: torch.Tensor, reference: Reference, metric_network: MetricNetwork) -> float:
    return frechet(seen(Stack(images), metric_network), target(reference, metric_network))


def test_extractor_gives_the_metric_networks_features_in_float64_and_may_be_selected_again(
    metric_network: MetricNetwork,
) -> None:
    extractor_options(metric_network.folder)
    extractor = create_feature_extractor(
        NAME, [LOGITS, POOLED], cuda=False, verbose=False, **extractor_options(metric_network.folder)
    )
    images = pictures(4)
    logits, features = extractor(images)
    assert logits.dtype == features.dtype == torch.float64
    assert torch.equal(logits, metric_network.model.logits(images.float() / 255).double())
    assert torch.equal(features, metric_network.model.judged(images.float() / 255)[0].double())


def test_a_set_has_no_distance_to_itself(metric_network: MetricNetwork) -> None:
    images = pictures(12)
    assert distance(images, Reference(Stack(images), None, ""), metric_network) == pytest.approx(0, abs=1e-4)


def test_frechet_distance_of_gaussians_with_equal_covariance_is_the_squared_distance_of_means(
    metric_network: MetricNetwork,
) -> None:
    images = pictures(12)
    features = pooled(metric_network, images)
    mu, sigma = features.mean(0), np.cov(features, rowvar=False)
    shifted = Statistics("there.npz", mu + 0.5, sigma)
    expected = 0.25 * len(mu)
    assert distance(images, Reference(Stack(images), shifted, ""), metric_network) == pytest.approx(expected, rel=1e-4)


def test_statistics_and_images_give_the_same_distance(metric_network: MetricNetwork) -> None:
    images, others = pictures(12), pictures(15, first=100)
    features = pooled(metric_network, others)
    statistics = Statistics("there.npz", features.mean(0), np.cov(features, rowvar=False))
    by_images = distance(images, Reference(Stack(others), None, ""), metric_network)
    assert by_images > 0
    assert distance(images, Reference(Stack(others), statistics, ""), metric_network) == pytest.approx(
        by_images, rel=1e-3, abs=1e-4
    )


def test_precision_and_recall_know_equal_and_distant_sets(metric_network: MetricNetwork) -> None:
    images = pictures(12)
    features = seen(Stack(images), metric_network)
    same = fidelity(features, target(Reference(Stack(images), None, ""), metric_network), 2)
    assert (same.precision, same.recall) == (1.0, 1.0)
    assert same.fid == pytest.approx(0, abs=1e-4)
    far = fidelity(features, target(Reference(Stack(255 - images), None, ""), metric_network), 2)
    assert (far.precision, far.recall) == (0.0, 0.0)
    assert far.fid > 0
    assert far.kid > same.kid
    assert far.inception_score == same.inception_score >= 1.0


def test_features_do_not_depend_on_the_batch(metric_network: MetricNetwork) -> None:
    images = pictures(12)
    features, by_five = seen(Stack(images), metric_network), seen(Stack(images), replace(metric_network, batch=5))
    torch.testing.assert_close(by_five.pooled, features.pooled)
    torch.testing.assert_close(by_five.logits, features.logits)


def test_of_large_sets_all_images_make_the_fid_and_evenly_spaced_ones_the_rest(
    metric_network: MetricNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = seen(Stack(pictures(13)), metric_network)
    reference = target(Reference(Stack(pictures(9, first=100)), None, ""), metric_network)
    some = Features(features.pooled[::3], features.logits[::3])
    expected = fidelity(some, Target(reference.pooled[::2], reference.statistics), 1)
    monkeypatch.setattr("rectok.evaluation.fidelity.PAIRED", 5)
    found = fidelity(features, reference, 1)
    assert (found.precision, found.recall, found.kid) == (expected.precision, expected.recall, expected.kid)
    assert found.fid == frechet(features, reference) != expected.fid


def test_too_few_images_for_the_neighbours_are_a_sentence(metric_network: MetricNetwork) -> None:
    reference = Reference(Stack(pictures(3)), None, "")
    with pytest.raises(UserError, match=r"generation\.neighbours is 3, .* only 3 images"):
        fidelity(seen(Stack(pictures(4)), metric_network), target(reference, metric_network), 3)


@pytest.mark.parametrize(("samples", "splits"), [(15, 1), (500, 1), (1000, 2), (4999, 9), (5000, 10), (50_000, 10)])
def test_inception_splits_grow_to_ten(samples: int, splits: int) -> None:
    assert inception_splits(samples) == splits


def test_recognised_is_the_share_of_right_labels(metric_network: MetricNetwork) -> None:
    images = pictures(10)
    logits = seen(Stack(images), metric_network).logits
    labels = metric_network.model.judged(images.float() / 255)[1].argmax(1)
    assert metric_network.recognised(logits, labels) == 1.0
    labels[:3] = (labels[:3] + 1) % 3
    assert metric_network.recognised(logits, labels) == 0.7


def test_a_metric_network_of_other_classes_is_a_sentence(metric_network: MetricNetwork) -> None:
    metric_network.require_classes(3)
    with pytest.raises(UserError, match="regnetx_002 tells 3 classes apart, but the images have 5"):
        metric_network.require_classes(5)


def test_reference_is_the_train_split_or_the_npz_file(metric_network: MetricNetwork) -> None:
    project.build_shards()
    train = project.train_split()
    empty = load_reference("", train)
    assert (empty.size, empty.statistics) == (16, None)
    assert torch.equal(empty.images[15], train.image(15))
    np.savez("adm.npz", mu=np.zeros(4, np.float32), sigma=np.eye(4), arr_0=np.ones((5, 8, 6, 3), np.uint8))
    full = load_reference("adm.npz", train)
    assert full.statistics is not None
    assert full.statistics.mu.dtype == np.float64
    assert full.images[0].shape == (3, 8, 6)
    np.savez("bare.npz", mu=np.zeros(4), sigma=np.eye(4))
    assert load_reference("bare.npz", train).size == 16


def test_a_reference_that_does_not_fit_is_a_sentence(metric_network: MetricNetwork) -> None:
    project.build_shards()
    train = project.train_split()
    np.savez("half.npz", mu=np.zeros(4))
    with pytest.raises(UserError, match=r"half\.npz has no array sigma"):
        load_reference("half.npz", train)
    with pytest.raises(UserError, match=r"gone\.npz cannot be read"):
        load_reference("gone.npz", train)
    np.savez("other.npz", mu=np.zeros(4), sigma=np.eye(4))
    with pytest.raises(UserError, match=r"other\.npz holds statistics of 4 features, but the metric network has 368"):
        target(load_reference("other.npz", train), metric_network)
