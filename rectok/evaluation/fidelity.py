"""Distances between sets of images on the metric network's features. All but the Fréchet distance are torch-fidelity's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from rectok.data.loader import Images, image_batches
from rectok.errors import UserError
from rectok.evaluation.image_sets import collected
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.reference import Reference, Statistics
from rectok.nn.spread import ALONE, Spread, batch_sizes

SPLIT_SAMPLES = 500
"""The Inception Score is averaged over at most ten parts, of at least so many samples: small parts bias it down."""
KID_SUBSETS, KID_SUBSET = 10, 1000
PAIRED = 10_000
"""Images of each set, evenly spaced, for precision, recall and KID: all pairs of them are needed. ADM's npz holds so many."""


@dataclass(frozen=True)
class Features:
    """The metric network's features of N images, float64: `pooled` [N, D] and `logits` [N, classes].

    `spaces` are their features in each of the other spaces, [N, D_i].
    """

    pooled: Tensor
    logits: Tensor
    spaces: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "Features":
        """What `MetricNetwork.features` gives."""
        return cls(tensors[0], tensors[1], tuple(tensors[2:]))

    def part(self, first: int, parts: int) -> "Features":
        """Every `parts`-th image from `first` on."""
        return Features.of([tensor[first::parts] for tensor in (self.pooled, self.logits, *self.spaces)])

    def in_spaces(self) -> list["Features"]:
        """The features in each of the other spaces, without class scores."""
        return [Features(space, space[:, :0]) for space in self.spaces]


@dataclass(frozen=True)
class ReferenceFeatures:
    """Features of a reference, for any number of comparisons: `pooled` [N, D], and the statistics for the Fréchet distance.

    `spaces` are the same in each of the other spaces.
    """

    pooled: Tensor
    statistics: Statistics
    spaces: tuple["ReferenceFeatures", ...] = ()

    @classmethod
    def of(cls, features: Features) -> "ReferenceFeatures":
        """A reference made from images with these features."""
        spaces = tuple(cls.of(each) for each in features.in_spaces())
        return cls(features.pooled, _statistics(features.pooled), spaces)


def extract_features(
    images: Images, metric_network: MetricNetwork, workers: int = 0, spread: Spread = ALONE
) -> Features:
    """The features of all images in the first process of `spread`, of none in the others; `workers` processes decode for each."""
    sizes = batch_sizes(len(images), metric_network.batch)
    batches = image_batches(images, metric_network.batch, workers, spread.own(len(sizes)))
    parts = collected(len(images), spread.results(map(metric_network.features, batches), sizes))
    return Features.of(parts or (torch.empty(0, 0), torch.empty(0, 0)))


def reference_features(reference: Reference, metric_network: MetricNetwork) -> ReferenceFeatures:
    """`compared_with` the features of the reference's images."""
    return compared_with(reference, extract_features(reference.images, metric_network))


def compared_with(reference: Reference, features: Features) -> ReferenceFeatures:
    """The reference, whose images have these features. Raises UserError where its statistics are those of another network."""
    published = reference.statistics
    if published is None:
        return ReferenceFeatures.of(features)
    require_width(published, features)
    return ReferenceFeatures(features.pooled, published, tuple(map(ReferenceFeatures.of, features.in_spaces())))


def require_width(published: Statistics, features: Features) -> None:
    """Raise UserError where `published` are the statistics of another network than made `features`."""
    width = features.pooled.shape[1]
    if len(published.mu) != width:
        raise UserError(
            f"{published.path} holds statistics of {len(published.mu)} features, but the metric network has {width}; "
            "a reference must come from the same network as the metric network"
        )


def frechet(features: Features, reference: ReferenceFeatures) -> float:
    """Fréchet distance (arXiv 1706.08500) to the reference, on the pooled features.

    With covariances FᵀF and S it needs the trace of √(FᵀF·S). Besides zeros, FᵀF·S has the eigenvalues of F·S·Fᵀ, which is
    symmetric and has a row for each image or feature, whichever are fewer. torch-fidelity looks for those of FᵀF·S itself, which
    takes much longer with 2048 features, and is less exact with few images. Raises UserError for fewer than two images, which
    have no covariance.
    """
    pooled, theirs = features.pooled.numpy(), reference.statistics
    _require_covariance(len(pooled))
    mu = pooled.mean(0)
    factor = (pooled - mu) / math.sqrt(len(pooled) - 1)
    if len(factor) > len(mu):
        factor = np.linalg.qr(factor, mode="r")
    squares = np.linalg.eigvalsh(factor @ theirs.sigma @ factor.T).clip(0)
    traces = np.square(factor).sum() + theirs.sigma.trace() - 2 * np.sqrt(squares).sum()
    # Where the sets agree, rounding may leave a tiny negative number. In this order `max` keeps NaN.
    return max(float(np.square(mu - theirs.mu).sum() + traces), 0.0)


def fidelity(features: Features, reference: ReferenceFeatures, neighbours: int) -> dict[str, float]:
    """Metrics by their names: KID (arXiv 1801.01401), precision, recall (arXiv 1904.06991), Inception Score (arXiv 1606.03498).

    The Inception Score is computed on the metric network's logits. Raises UserError as `manifold_metrics`.
    """
    manifolds = manifold_metrics(features.pooled, reference.pooled, neighbours)
    score, spread = inception_score(features)
    return {
        "kid": manifolds["kid"],
        "inception_score": score,
        "inception_score_std": spread,
        "precision": manifolds["precision"],
        "recall": manifolds["recall"],
    }


def manifold_metrics(pooled: Tensor, reference: Tensor, neighbours: int) -> dict[str, float]:
    """KID, precision and recall of features [N, D] beside those of a reference, [M, D].

    They are computed on at most PAIRED images of each set, the latter two with k = `neighbours`. Precision is the share of
    generated images in the manifold of the real ones. Raises UserError where there are too few images for k neighbours.
    """
    ours, theirs = _spaced(pooled), _spaced(reference)
    smallest = min(len(ours), len(theirs))
    if smallest <= neighbours:
        raise UserError(
            f"generation.neighbours is {neighbours}, but one of the compared sets has only {smallest} images"
        )
    kid = kid_features_to_metric(
        ours, theirs, kid_subsets=KID_SUBSETS, kid_subset_size=min(KID_SUBSET, smallest), verbose=False
    )
    manifolds = prc_features_to_metric(ours, theirs, prc_neighborhood=neighbours, save_cpu_ram=True, verbose=False)
    return {
        "kid": kid["kernel_inception_distance_mean"],
        "precision": manifolds["precision"],
        "recall": manifolds["recall"],
    }


def inception_score(features: Features) -> tuple[float, float]:
    """Inception Score (arXiv 1606.03498) of the metric network's logits: mean and standard deviation over parts."""
    score = isc_features_to_metric(features.logits, inception_splits(len(features.logits)))
    return score["inception_score_mean"], score["inception_score_std"]


def inception_splits(samples: int) -> int:
    """Parts over which the Inception Score is averaged: ten, as published, from 5 000 samples on."""
    return max(1, min(10, samples // SPLIT_SAMPLES))


def _spaced(pooled: Tensor) -> Tensor:
    if len(pooled) <= PAIRED:
        return pooled
    return pooled[np.linspace(0, len(pooled) - 1, PAIRED).round().astype(int)]


def _require_covariance(images: int) -> None:
    if images < 2:
        raise UserError(f"a Fréchet distance needs two images or more on either side, and one side has {images}")


def _statistics(pooled: Tensor) -> Statistics:
    _require_covariance(len(pooled))
    statistics = fid_features_to_statistics(pooled)
    return Statistics("", statistics["mu"], statistics["sigma"])
