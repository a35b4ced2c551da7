"""EMA samples of every class, unguided and guided, against real images: gFID, KID, IS, precision, recall, accuracy."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rectok.artifacts import DATA, classes_file, pictures_file, read_json, stage_dir, write_json
from rectok.data.dataset import ImageDataset
from rectok.evaluation.feature_spaces import load_spaces
from rectok.evaluation.fidelity import ReferenceFeatures, compared_with, extract_features
from rectok.evaluation.fingerprint import FINGERPRINT, generation_fingerprint
from rectok.evaluation.generation import (
    SampleFeatures,
    Samples,
    draw,
    generation_metrics,
    protocol,
    sample_labels,
)
from rectok.evaluation.image_sets import Subsample
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.metrics import Record, record_of, write_record
from rectok.evaluation.reference import LIMIT, load_reference
from rectok.evaluation.space_metrics import space_metrics, spaces_described
from rectok.nn.counting import products
from rectok.nn.weights import Undrawn
from rectok.params import Params
from rectok.reporting.failures import clear, confusions
from rectok.reporting.images import COLUMNS, by_class, enlarged, fewest, grid, spaced_classes, write_png
from rectok.sampling.generator import Places, load_generator
from rectok.seeds import sample_seeds, seed_of
from rectok.train.launch import launched
from rectok.train.progress import reporting
from rectok.train.world import World, compiles, member, settled

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
    per_class = params.generation.per_class
    if launched(params.machine, "generation", units=units(params, per_class)):
        return
    evaluation = evaluate(params, "generation", "generation", per_class)
    if evaluation is None:
        return
    write_record("generation", evaluation.record)
    _write_pictures(evaluation.samples)
    _write_failures(evaluation)


def units(params: Params, per_class: int) -> int:
    """How many batches `per_class` samples of every class are."""
    return ceil(per_class * len(read_json(classes_file(), list)) / params.generation.batch)


def evaluate(params: Params, stage: str, purpose: str, per_class: int, source: Path = DATA) -> Evaluation | None:
    """Draw `per_class` samples of every class with the seeds of `purpose`; measure them as params.generation says.

    `source` holds generator and metric network, in folders named as those of the stages. `stage` is the name for progress. All
    processes that were launched for it must call this; only the first one gets the evaluation.
    """
    config, world, workers = params.generation, member(params.machine), params.machine.workers
    spaces = load_spaces(config.spaces, world.device) if config.spaces else None
    folder = source / stage_dir("metric_network").name
    with Undrawn():
        generator = load_generator(world.device, Places.within(source), fp8=config.sampler.fp8)
        metric_network = load_metric_network(folder, world.device, config.batch, spaces)
    classes, tokens = generator.dit.config.classes, generator.dit.config.tokens
    images = TWICE * classes * per_class * config.sampler.evaluations
    compiled = compiles(params.machine, images * products(generator.dit, tokens))
    for network in filter(None, (generator.dit, generator.autoguidance)):
        settled(network, params.machine, compiled)
    train = load_reference(config.reference, ImageDataset(params.index.shards, "train"))
    held_out = Subsample(ImageDataset(params.index.shards, params.reconstruction.split), LIMIT)
    metric_network.require_classes(classes)
    # A generator knows no classes without images, although an index may name them.
    drawn = np.unique(ImageDataset(params.index.shards, "train").labels)
    of_reference, real = (
        extract_features(some, metric_network, workers, world.spread) for some in (train.images, held_out)
    )
    labels_seed = seed_of(params.seed, purpose, "labels")
    labels = sample_labels(torch.from_numpy(drawn), per_class, config.labels, labels_seed)
    seeds = sample_seeds(params.seed, purpose, len(labels))
    with _progress(stage, 2 * len(labels), world) as progress:
        sampled = draw(generator, config, labels, seeds, metric_network, progress, world.spread)
    if sampled is None:
        return None
    (samples, features), reference = sampled, compared_with(train, of_reference)
    metrics: dict[str, Any] = dict(generation_metrics(features, real, config, reference, metric_network))
    split, shards = params.reconstruction.split, params.index.shards
    described = {
        FINGERPRINT: generation_fingerprint(config, shards, split, per_class, source),
        **protocol(config, train, metric_network, len(drawn), per_class),
        "floor": f"the same distance of {len(held_out)} real images of the {split} split",
    }
    if spaces:
        names = (metric_network.name, *spaces.names)
        metrics |= space_metrics(features, real, reference, names, config.neighbours)
        described["spaces"] = spaces_described(names, len(train.images), len(held_out))
    title, kind = metric_network.title, f"{config.labels} labels"
    record = record_of("generation", metrics, described, title, metric_network.labelled, kind)
    return Evaluation(samples, features, record, reference, metric_network)


@contextmanager
def _progress(stage: str, images: int, world: World) -> Iterator[Callable[[int], None]]:
    """Takes how many of `images` are drawn, and shows it."""
    began = time.monotonic()
    with reporting(stage, 0, images, world.first, "image") as reporter:

        def progress(done: int) -> None:
            if reporter is not None:
                reporter.report(done, {}, done / (time.monotonic() - began))

        yield progress


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
