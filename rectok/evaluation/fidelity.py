"""Distances between sets of images, computed by torch-fidelity's functions on the metric network's features."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

from rectok.errors import UserError
from rectok.evaluation.extractor import LOGITS, NAME, POOLED, extractor_options
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.reference import Reference, Statistics

SPLIT_SAMPLES = 500
"""The Inception Score is averaged over at most ten parts, of at least so many samples: small parts bias it down."""
KID_SUBSETS, KID_SUBSET = 10, 1000
PAIRED = 10_000
"""Images of each set, evenly spaced, for precision, recall and KID: all pairs of them are needed. ADM's npz holds so many."""


@dataclass(frozen=True)
class Features:
    """What the metric network sees of N images, float64: `pooled` [N, D] and `logits` [N, classes]."""

    pooled: Tensor
    logits: Tensor

    def part(self, first: int, parts: int) -> "Features":
        """Every `parts`-th image from `first` on."""
        return Features(self.pooled[first::parts], self.logits[first::parts])


@dataclass(frozen=True)
class Target:
    """A reference as the metric network sees it, for any number of comparisons: pooled features [N, D], and FID's statistics."""

    pooled: Tensor
    statistics: Statistics

    @classmethod
    def of(cls, features: Features) -> "Target":
        """Images that are seen already as the reference of others."""
        return cls(features.pooled, _statistics(features.pooled))


@dataclass(frozen=True)
class Fidelity:
    """Distances of a generated set to a reference; precision is the share of generated images in the real manifold."""

    fid: float
    kid: float
    inception_score: float
    inception_score_std: float
    precision: float
    recall: float


def seen(images: Dataset[Tensor], metric_network: MetricNetwork) -> Features:
    """The features of uint8 [3, H, W] images."""
    cuda = metric_network.device == "cuda"
    extractor = create_feature_extractor(
        NAME, [POOLED, LOGITS], cuda=cuda, verbose=False, **extractor_options(metric_network.folder)
    )
    # `save_cpu_ram` reads images in this process.
    found = get_featuresdict_from_dataset(
        images, extractor, metric_network.batch, cuda, save_cpu_ram=True, verbose=False
    )
    return Features(found[POOLED], found[LOGITS])


def target(reference: Reference, metric_network: MetricNetwork) -> Target:
    """The features of the reference's images. Raises UserError where its statistics are those of another network."""
    features, published = seen(reference.images, metric_network), reference.statistics
    if published is None:
        return Target.of(features)
    width = features.pooled.shape[1]
    if len(published.mu) != width:
        raise UserError(
            f"{published.path} holds statistics of {len(published.mu)} features, but the metric network has {width}; "
            "generation.reference must come from the same network as the metric network"
        )
    return Target(features.pooled, published)


def frechet(features: Features, reference: Target) -> float:
    """Fréchet distance (arXiv 1706.08500) to the reference, on the pooled features."""
    ours, theirs = ({"mu": s.mu, "sigma": s.sigma} for s in (_statistics(features.pooled), reference.statistics))
    # The square root of the covariances' product, by eigenvalues, may leave a tiny negative number where sets agree.
    return max(0.0, float(fid_statistics_to_metric(ours, theirs, False)["frechet_inception_distance"]))


def fidelity(features: Features, reference: Target, neighbours: int) -> Fidelity:
    """All distances to the reference.

    FID as in `frechet`; KID (arXiv 1801.01401); Inception Score (arXiv 1606.03498) on the metric network's logits; precision and
    recall (arXiv 1904.06991) with `neighbours` = k; KID, precision and recall on at most PAIRED images of each set.
    Raises UserError where there are too few images for k neighbours.
    """
    ours, theirs = _spaced(features.pooled), _spaced(reference.pooled)
    smallest = min(len(ours), len(theirs))
    if smallest <= neighbours:
        raise UserError(
            f"generation.neighbours is {neighbours}, but one of the compared sets has only {smallest} images"
        )
    kid = kid_features_to_metric(
        ours, theirs, kid_subsets=KID_SUBSETS, kid_subset_size=min(KID_SUBSET, smallest), verbose=False
    )
    manifolds = prc_features_to_metric(ours, theirs, prc_neighborhood=neighbours, save_cpu_ram=True, verbose=False)
    score = isc_features_to_metric(features.logits, inception_splits(len(features.logits)))
    return Fidelity(
        fid=frechet(features, reference),
        kid=kid["kernel_inception_distance_mean"],
        inception_score=score["inception_score_mean"],
        inception_score_std=score["inception_score_std"],
        precision=manifolds["precision"],
        recall=manifolds["recall"],
    )


def inception_splits(samples: int) -> int:
    """Parts over which the Inception Score is averaged: ten, as published, from 5 000 samples on."""
    return max(1, min(10, samples // SPLIT_SAMPLES))


def _spaced(pooled: Tensor) -> Tensor:
    if len(pooled) <= PAIRED:
        return pooled
    return pooled[np.linspace(0, len(pooled) - 1, PAIRED).round().astype(int)]


def _statistics(pooled: Tensor) -> Statistics:
    found = fid_features_to_statistics(pooled)
    return Statistics("", found["mu"], found["sigma"])
