"""Samples of every class, unguided and guided from the same seeds, and their metrics."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rectok.evaluation.config import GenerationConfig
from rectok.evaluation.fidelity import (
    KID_SUBSET,
    KID_SUBSETS,
    PAIRED,
    Features,
    Target,
    fidelity,
    inception_splits,
    seen,
)
from rectok.evaluation.image_quality import to_uint8
from rectok.evaluation.image_sets import Stack, collected
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.reference import Reference
from rectok.sampling.generator import Generator
from rectok.sampling.sampler_config import GuidanceConfig


@dataclass(frozen=True)
class Samples:
    """uint8 images [N, 3, H, W] of the same `labels` [N] and seeds, unguided and guided; one tensor where guidance is neutral."""

    labels: Tensor
    unguided: Tensor
    guided: Tensor


def balanced_labels(classes: int, per_class: int) -> Tensor:
    """Every label `per_class` times, int64 [classes·per_class]."""
    return torch.arange(classes).repeat_interleave(per_class)


def sample_seeds(seed: int, purpose: str, count: int) -> Tensor:
    """One seed per sample index, int64 [count]: consecutive from a start that (seed, purpose) gives.

    Torch's generator keeps 32 bits of a seed; consecutive ones never collide within a set, hashed ones would.
    """
    start = int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=4).digest(), "little")
    return (start + torch.arange(count)) % 2**32


def draw(
    generator: Generator, config: GenerationConfig, labels: Tensor, seeds: Tensor, progress: Callable[[int], None]
) -> Samples:
    """Sample every (label, seed) without and with guidance, rounded to uint8 as the protocol says.

    `progress` is told the number of images drawn so far, of 2·N. Guidance that changes nothing is not sampled again.
    """
    count = len(labels)
    unguided = collected(count, _drawn(generator, config, None, labels, seeds, progress))
    if config.guidance.neutral:
        progress(2 * count)
        return Samples(labels, unguided, unguided)
    guided = _drawn(generator, config, config.guidance, labels, seeds, lambda done: progress(count + done))
    return Samples(labels, unguided, collected(count, guided))


def _drawn(
    generator: Generator,
    config: GenerationConfig,
    guidance: GuidanceConfig | None,
    labels: Tensor,
    seeds: Tensor,
    progress: Callable[[int], None],
) -> Iterator[Tensor]:
    done = 0
    for some_labels, some_seeds in zip(labels.split(config.batch), seeds.split(config.batch), strict=True):
        images = generator.sample(some_labels, some_seeds, config.sampler, guidance)
        yield to_uint8(images, config.rounding).cpu()
        done += len(images)
        progress(done)


def looked_at(samples: Samples, metric_network: MetricNetwork) -> Mapping[str, Features]:
    """What the metric network sees of unguided and guided samples, under the endings of their figures' names."""
    unguided = seen(Stack(samples.unguided), metric_network)
    same = samples.guided is samples.unguided
    return {"": unguided, "_guided": unguided if same else seen(Stack(samples.guided), metric_network)}


def generation_figures(
    features: Mapping[str, Features],
    labels: Tensor,
    config: GenerationConfig,
    reference: Target,
    metric_network: MetricNetwork,
) -> dict[str, float | None]:
    """Fidelity to the reference, and recognised `labels` [N], of samples that the metric network has looked at."""
    unguided, guided = features[""], features["_guided"]
    plain = _figures(unguided, labels, config, reference, metric_network)
    steered = plain if guided is unguided else _figures(guided, labels, config, reference, metric_network)
    return {**plain, **{f"{name}_guided": value for name, value in steered.items()}}


def _figures(
    features: Features, labels: Tensor, config: GenerationConfig, reference: Target, metric_network: MetricNetwork
) -> dict[str, float | None]:
    found = fidelity(features, reference, config.neighbours)
    return {
        "gfid": found.fid,
        "kid": found.kid,
        "inception_score": found.inception_score,
        "inception_score_std": found.inception_score_std,
        "precision": found.precision,
        "recall": found.recall,
        "sample_accuracy": metric_network.recognised(features.logits, labels),
    }


def protocol(
    config: GenerationConfig, reference: Reference, metric_network: MetricNetwork, classes: int, per_class: int
) -> dict[str, str | int | float]:
    """How the samples were drawn and what they were compared with, for people."""
    guidance, sampler, count = config.guidance, config.sampler, classes * per_class
    parts = inception_splits(count)
    return {
        "metric_network": metric_network.described,
        "samples": f"{count}, {per_class} of each of {classes} classes, from EMA weights",
        "seeds": "one per sample index, the same with and without guidance",
        "sampler": f"{sampler.method}, {sampler.points} time points",
        "guidance": f"{guidance.kind}, scale {guidance.scale:g}, inside t from {guidance.low:g} to {guidance.high:g}",
        "rounding": f"{config.rounding} to 8 bits",
        "reference": reference.description,
        "precision_and_recall": f"{config.neighbours} nearest neighbours, at most {PAIRED} images of each set",
        "kid": f"mean over {KID_SUBSETS} subsets of at most {KID_SUBSET} images, from at most {PAIRED} of each set",
        "inception_score": f"mean over {parts} part{'s' if parts > 1 else ''} of the samples",
    }
