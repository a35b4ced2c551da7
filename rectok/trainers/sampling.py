"""What generation and the nightly evaluation share: draw samples with progress, and measure them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from rectok.artifacts import DATA, stage_dir
from rectok.data.dataset import ImageDataset
from rectok.evaluation.fidelity import Features, Target, frechet, seen, target
from rectok.evaluation.generation import (
    Samples,
    balanced_labels,
    draw,
    generation_figures,
    looked_at,
    protocol,
    sample_seeds,
)
from rectok.evaluation.image_sets import Sample
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.records import Record
from rectok.evaluation.reference import LIMIT, load_reference
from rectok.nn.blocks import compile_blocks
from rectok.params import Params
from rectok.sampling.generator import Places, load_generator
from rectok.train.progress import reporting
from rectok.train.world import device_of


@dataclass(frozen=True)
class Measured:
    """Samples, what the metric network saw of them, their figures, and what measured them."""

    samples: Samples
    features: Mapping[str, Features]
    record: Record
    compared: Target
    metric_network: MetricNetwork


def sampled(params: Params, stage: str, purpose: str, per_class: int, source: Path = DATA) -> Measured:
    """Draw `per_class` samples of every class with the seeds of `purpose`; measure them as params.generation says.

    `source` holds generator and metric network, in folders named as those of the stages; `stage` is the name for progress.
    """
    config = params.generation
    generator = load_generator(torch.device(device_of(params.machine)), Places.within(source))
    if params.machine.compile:
        for network in filter(None, (generator.dit, generator.autoguidance)):
            compile_blocks(network)
    metric_network = load_metric_network(source / stage_dir("metric_network").name, generator.device.type, config.batch)
    reference = load_reference(config.reference, ImageDataset(params.index.shards, "train"))
    held_out = Sample(ImageDataset(params.index.shards, params.reconstruction.split), LIMIT)
    metric_network.require_classes(generator.dit.config.classes)
    compared = target(reference, metric_network)
    labels = balanced_labels(generator.dit.config.classes, per_class)
    began = time.monotonic()
    with reporting(stage, 0, 2 * len(labels), first=True) as reporter:

        def progress(done: int) -> None:
            if reporter is not None:
                reporter.report(done, {}, done / (time.monotonic() - began))

        samples = draw(generator, config, labels, sample_seeds(params.seed, purpose, len(labels)), progress)
    features = looked_at(samples, metric_network)
    figures = {
        **generation_figures(features, labels, config, compared, metric_network),
        "gfid_floor": frechet(seen(held_out, metric_network), compared),
    }
    described = {
        **protocol(config, reference, metric_network, generator.dit.config.classes, per_class),
        "floor": f"the same distance of {len(held_out)} real images of the {params.reconstruction.split} split",
    }
    return Measured(
        samples, features, Record(figures, metric_network.credits(figures), described), compared, metric_network
    )
