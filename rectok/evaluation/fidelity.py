"""Distances between sets of images, computed by torch-fidelity on the judge's features."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics
from torch_fidelity.metric_fid import fid_input_id_to_statistics, fid_statistics_to_metric
from torch_fidelity.utils import create_feature_extractor

from rectok.errors import UserError
from rectok.evaluation.extractor import NAME, POOLED, extractor_options
from rectok.evaluation.images import Stack
from rectok.evaluation.judge import Judge
from rectok.evaluation.reference import Reference, Statistics

SPLIT_SAMPLES = 500
"""The Inception Score is averaged over at most ten parts, of at least so many samples: small parts bias it down."""
KID_SUBSETS, KID_SUBSET = 10, 1000


@dataclass(frozen=True)
class Fidelity:
    """Distances of a generated set to a reference; precision is the share of generated images in the real manifold."""

    fid: float
    kid: float
    inception_score: float
    inception_score_std: float
    precision: float
    recall: float


def frechet(images: Dataset[Tensor], reference: Reference, judge: Judge) -> float:
    """Fréchet distance (arXiv 1706.08500) of uint8 [3, H, W] images to the reference, on the pooled features of `judge`."""
    options = _options(images, judge)
    if reference.statistics is not None:
        return _frechet_to_statistics(reference.statistics, options)
    return _positive(calculate_metrics(fid=True, input2=reference.images, **options)["frechet_inception_distance"])


def fidelity(images: Tensor, reference: Reference, judge: Judge, neighbours: int, cache: str) -> Fidelity:
    """All distances of uint8 [N, 3, H, W] to the reference.

    FID as in `frechet`; KID (arXiv 1801.01401); Inception Score (arXiv 1606.03498) on the judge's logits; precision and
    recall (arXiv 1904.06991) with `neighbours` = k. The folder `cache` keeps the reference's features for the next call
    with the same reference. Raises UserError where there are too few images for k neighbours.
    """
    smallest = min(len(images), reference.size)
    if smallest <= neighbours:
        raise UserError(
            f"generation.neighbours is {neighbours}, but one of the compared sets has only {smallest} images"
        )
    options = _options(Stack(images), judge)
    found = calculate_metrics(
        fid=reference.statistics is None,
        kid=True,
        isc=True,
        prc=True,
        input2=reference.images,
        prc_neighborhood=neighbours,
        isc_splits=inception_splits(len(images)),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=min(KID_SUBSET, smallest),
        **options | {"cache": True, "cache_root": cache, "input2_cache_name": "reference"},
    )
    if reference.statistics is not None:
        fid = _frechet_to_statistics(reference.statistics, options)
    else:
        fid = _positive(found["frechet_inception_distance"])
    return Fidelity(
        fid=fid,
        kid=found["kernel_inception_distance_mean"],
        inception_score=found["inception_score_mean"],
        inception_score_std=found["inception_score_std"],
        precision=found["precision"],
        recall=found["recall"],
    )


def inception_splits(samples: int) -> int:
    """Parts over which the Inception Score is averaged: ten, as published, from 5 000 samples on."""
    return max(1, min(10, samples // SPLIT_SAMPLES))


def _options(images: Dataset[Tensor], judge: Judge) -> dict[str, Any]:
    return {
        "input1": images,
        "batch_size": judge.batch,
        "cuda": judge.device == "cuda",
        "cache": False,
        "verbose": False,
        # Reads images in this process and compares features in blocks.
        "save_cpu_ram": True,
        **extractor_options(judge.folder),
    }


def _frechet_to_statistics(reference: Statistics, options: dict[str, Any]) -> float:
    extractor = create_feature_extractor(NAME, [POOLED], **options)
    found = fid_input_id_to_statistics(1, extractor, POOLED, **options)
    if found["mu"].shape != reference.mu.shape:
        raise UserError(
            f"{reference.path} holds statistics of {len(reference.mu)} features, but the judge has {len(found['mu'])}; "
            "generation.reference must come from the same network as the judge"
        )
    expected = {"mu": reference.mu, "sigma": reference.sigma}
    return _positive(fid_statistics_to_metric(found, expected, False)["frechet_inception_distance"])


def _positive(distance: float) -> float:
    # The square root of the covariances' product, by eigenvalues, may leave a tiny negative number where sets agree.
    return max(0.0, float(distance))
