"""Samples of every class, unguided and guided from the same seeds, and their metrics."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rectok.evaluation import fidelity
from rectok.evaluation.evaluation_config import GenerationConfig
from rectok.evaluation.image_quality import to_uint8
from rectok.evaluation.image_sets import collected
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.metrics import GUIDED
from rectok.evaluation.reference import Reference
from rectok.nn.overlap import Parts
from rectok.nn.spread import ALONE, Spread, batch_sizes
from rectok.sampling.generator import Generator
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Samples:
    """uint8 images [N, 3, H, W] of the same `labels` [N] and seeds, unguided and guided; one tensor where guidance is neutral."""

    labels: Tensor
    unguided: Tensor
    guided: Tensor


@dataclass(frozen=True)
class SampleFeatures:
    """The metric network's features of Samples; one object where guidance is neutral."""

    labels: Tensor
    unguided: fidelity.Features
    guided: fidelity.Features

    def part(self, first: int, parts: int) -> "SampleFeatures":
        """Every `parts`-th sample from `first` on."""
        unguided = self.unguided.part(first, parts)
        guided = unguided if self.guided is self.unguided else self.guided.part(first, parts)
        return SampleFeatures(self.labels[first::parts], unguided, guided)

    def measured(self, measure: Callable[[fidelity.Features, Tensor], Metrics]) -> Metrics:
        """What `measure` makes of the features and labels of both sets, under the names of their metrics."""
        plain = measure(self.unguided, self.labels)
        guided = plain if self.guided is self.unguided else measure(self.guided, self.labels)
        return {**plain, **{f"{name}{GUIDED}": value for name, value in guided.items()}}


def balanced_labels(classes: int, per_class: int) -> Tensor:
    """Every label `per_class` times, int64 [classes·per_class]."""
    return torch.arange(classes).repeat_interleave(per_class)


def sample_labels(classes: Tensor, per_class: int, labels: Literal["balanced", "random"], seed: int) -> Tensor:
    """The labels [classes·per_class] of samples: each of `classes` `per_class` times, or each label drawn uniformly from them."""
    balanced = classes[balanced_labels(len(classes), per_class)]
    if labels == "balanced":
        return balanced
    return classes[torch.randint(len(classes), balanced.shape, generator=torch.Generator().manual_seed(seed))]


def draw(
    generator: Generator,
    config: GenerationConfig,
    labels: Tensor,
    seeds: Tensor,
    metric_network: MetricNetwork,
    progress: Callable[[int], None],
    spread: Spread = ALONE,
) -> tuple[Samples, SampleFeatures] | None:
    """Sample every (label, seed) without and with guidance, rounded to uint8 as the protocol says; samples and their features.

    `progress` gets the number of images drawn so far, of 2·N. Guidance that changes nothing is not sampled again. Only the first
    process of `spread` gets the samples.
    """
    count, sizes = len(labels), batch_sizes(len(labels), config.batch)

    def computed(guidance: GuidanceConfig | None) -> Iterator[Parts]:
        for unit in spread.own(len(sizes)):
            batch = slice(unit * config.batch, (unit + 1) * config.batch)
            images = to_uint8(generator.sample(labels[batch], seeds[batch], config.sampler, guidance), config.rounding)
            yield images, *metric_network.features(images)

    def drawn(guidance: GuidanceConfig | None, done: int) -> Iterator[Parts]:
        for parts in spread.results(computed(guidance), sizes):
            done += len(parts[0])
            progress(done)
            yield parts

    plain = collected(count, drawn(None, 0))
    steered = plain if config.guidance.neutral else collected(count, drawn(config.guidance, count))
    if not spread.first:
        return None
    if steered is plain:
        progress(2 * count)
    features = fidelity.Features.of(plain[1:])
    guided = features if steered is plain else fidelity.Features.of(steered[1:])
    return Samples(labels, plain[0], steered[0]), SampleFeatures(labels, features, guided)


def generation_metrics(
    samples: SampleFeatures,
    held_out: fidelity.Features,
    config: GenerationConfig,
    reference: fidelity.ReferenceFeatures,
    metric_network: MetricNetwork,
) -> Metrics:
    """All metrics of the stage `generation`; `held_out` are features of real images, whose gFID is the floor."""

    def measure(features: fidelity.Features, labels: Tensor) -> Metrics:
        nightly = measure_nightly(features, labels, reference, metric_network)
        return {**nightly, **fidelity.fidelity(features, reference, config.neighbours)}

    return {**samples.measured(measure), "gfid_floor": fidelity.frechet(held_out, reference)}


def measure_nightly(
    features: fidelity.Features, labels: Tensor, reference: fidelity.ReferenceFeatures, metric_network: MetricNetwork
) -> Metrics:
    """The metrics of nightly runs. Parts of the samples are measured too, so these must make sense for few samples."""
    return {
        "gfid": fidelity.frechet(features, reference),
        "sample_accuracy": metric_network.accuracy(features.logits, labels),
    }


def _labels(config: GenerationConfig, per_class: int, classes: int) -> str:
    if config.labels == "random":
        return f"each of a label drawn from {classes} classes"
    return f"{per_class} of each of {classes} classes"


def _approximations(sampler: SamplerConfig) -> str:
    every = sampler.encoder_every
    shared = f", the encoder's condition shared by {every} steps" if every > 1 else ""
    return shared + (", products in fp8" if sampler.fp8 else "")


def protocol(
    config: GenerationConfig, reference: Reference, metric_network: MetricNetwork, classes: int, per_class: int
) -> Mapping[str, str]:
    """How the samples were drawn and what they were compared with, for people."""
    guidance, sampler, count, most = config.guidance, config.sampler, classes * per_class, fidelity.PAIRED
    parts = fidelity.inception_splits(count)
    subsets = f"{fidelity.KID_SUBSETS} subsets of at most {fidelity.KID_SUBSET}"
    return {
        "metric_network": metric_network.described,
        "samples": f"{count}, {_labels(config, per_class, classes)}, from EMA weights",
        "seeds": "one per sample index, the same with and without guidance",
        "sampler": f"{sampler.method}, {sampler.points} time points{_approximations(sampler)}",
        "guidance": f"{guidance.kind}, scale {guidance.scale:g}, inside t from {guidance.low:g} to {guidance.high:g}",
        "rounding": f"{config.rounding} to 8 bits",
        "reference": reference.description,
        "precision_and_recall": f"{config.neighbours} nearest neighbours, at most {most} images of each set",
        "kid": f"mean over {subsets} images, from at most {most} of each set",
        "inception_score": f"mean over {parts} part{'s' if parts > 1 else ''} of the samples",
    }
