"""EMA samples of every class, unguided and guided, against real images: gFID, KID, IS, precision, recall, accuracy."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rectok.artifacts import DATA, pictures_file, stage_dir, write_json
from rectok.data.dataset import ImageDataset
from rectok.evaluation.fidelity import ReferenceFeatures, extract_features, reference_features
from rectok.evaluation.fingerprint import FINGERPRINT, generation_fingerprint
from rectok.evaluation.generation import (
    SampleFeatures,
    Samples,
    draw,
    generation_metrics,
    protocol,
    sample_features,
    sample_labels,
)
from rectok.evaluation.image_sets import Subsample
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.metrics import Record, record_of, write_record
from rectok.evaluation.reference import LIMIT, load_reference
from rectok.nn.blocks import compile_blocks
from rectok.nn.counting import products
from rectok.params import Params
from rectok.reporting.failures import clear, confusions
from rectok.reporting.images import COLUMNS, by_class, enlarged, fewest, grid, spaced_classes, write_png
from rectok.sampling.generator import Generator, Places, load_generator
from rectok.seeds import sample_seeds, seed_of
from rectok.train.progress import reporting
from rectok.train.world import compiles, device_of

ROWS = 10
TWICE = 2
"""Every sample is drawn without and with guidance."""


@dataclass(frozen=True)
class Evaluation:
    """Samples, their features and metrics, and what measured them."""

    samples: Samples
    features: SampleFeatures
    record: Record
    reference: ReferenceFeatures
    metric_network: MetricNetwork


def run(params: Params) -> None:
    """Write data/generation: record.json, by-class grids unguided.png and guided.png, preview.png, confused classes."""
    evaluation = evaluate(params, "generation", "generation", params.generation.per_class)
    write_record("generation", evaluation.record)
    _write_pictures(evaluation.samples)
    _write_failures(evaluation)


def evaluate(params: Params, stage: str, purpose: str, per_class: int, source: Path = DATA) -> Evaluation:
    """Draw `per_class` samples of every class with the seeds of `purpose`; measure them as params.generation says.

    `source` holds generator and metric network, in folders named as those of the stages. `stage` is the name for progress.
    """
    config = params.generation
    generator = load_generator(torch.device(device_of(params.machine)), Places.within(source))
    classes = generator.dit.config.classes
    images = TWICE * classes * per_class * config.sampler.evaluations
    if compiles(params.machine, images * products(generator.dit, generator.dit.config.tokens)):
        for network in filter(None, (generator.dit, generator.autoguidance)):
            compile_blocks(network)
    metric_network = load_metric_network(source / stage_dir("metric_network").name, generator.device.type, config.batch)
    train = load_reference(config.reference, ImageDataset(params.index.shards, "train"))
    held_out = Subsample(ImageDataset(params.index.shards, params.reconstruction.split), LIMIT)
    metric_network.require_classes(classes)
    drawn = np.unique(ImageDataset(params.index.shards, "train").labels)
    reference = reference_features(train, metric_network)
    samples = _sampled(params, generator, stage, purpose, drawn, per_class)
    features = sample_features(samples, metric_network)
    real = extract_features(held_out, metric_network)
    metrics = generation_metrics(features, real, config, reference, metric_network)
    split, shards = params.reconstruction.split, params.index.shards
    described = {
        FINGERPRINT: generation_fingerprint(config, shards, split, per_class, source),
        **protocol(config, train, metric_network, len(drawn), per_class),
        "floor": f"the same distance of {len(held_out)} real images of the {split} split",
    }
    title, labels = metric_network.title, f"{config.labels} labels"
    record = record_of("generation", metrics, described, title, metric_network.labelled, labels)
    return Evaluation(samples, features, record, reference, metric_network)


def _sampled(
    params: Params, generator: Generator, stage: str, purpose: str, classes: NDArray[np.int64], per_class: int
) -> Samples:
    """Samples of the `classes` that have images. A generator knows no others, although an index may name them."""
    labels_seed = seed_of(params.seed, purpose, "labels")
    labels = sample_labels(torch.from_numpy(classes), per_class, params.generation.labels, labels_seed)
    seeds = sample_seeds(params.seed, purpose, len(labels))
    began = time.monotonic()
    with reporting(stage, 0, 2 * len(labels), first=True) as reporter:

        def progress(done: int) -> None:
            if reporter is not None:
                reporter.report(done, {}, done / (time.monotonic() - began))

        return draw(generator, params.generation, labels, seeds, progress)


def _write_pictures(samples: Samples) -> None:
    labels = samples.labels.numpy()
    folder = stage_dir("generation")
    columns = min(COLUMNS, fewest(labels))
    for name, images in (("unguided", samples.unguided), ("guided", samples.guided)):
        write_png(folder / f"{name}.png", grid(by_class(images.numpy(), labels, ROWS, columns), columns))
    write_png(folder / "preview.png", grid(enlarged(by_class(samples.guided.numpy(), labels, ROWS, columns)), columns))


def _write_failures(evaluation: Evaluation) -> None:
    """Samples that look like another class, and pictures.json, which says what all pictures show."""
    samples, features = evaluation.samples, evaluation.features
    clear("generation")
    sets = {"unguided": (samples.unguided, features.unguided)}
    if samples.guided is not samples.unguided:
        sets["guided"] = (samples.guided, features.guided)
    confused: dict[str, list[dict[str, Any]] | None] = {}
    for name, (images, of_set) in sets.items():
        pairs = confusions(images, of_set.logits, samples.labels, evaluation.metric_network, name)
        confused[name] = None if pairs is None else [asdict(pair) for pair in pairs]
    rows = spaced_classes(samples.labels.numpy(), ROWS).tolist()
    write_json(pictures_file("generation"), {"rows": rows, "confused": confused})
