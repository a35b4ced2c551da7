"""How good the samples of a generator in training are: unguided gFID, and how many the metric network takes for their class."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.data.shard_reader import readable
from rectok.errors import UserError
from rectok.evaluation.fidelity import Features, ReferenceFeatures, extract_features, frechet
from rectok.evaluation.generation import balanced_labels
from rectok.evaluation.image_quality import to_uint8
from rectok.evaluation.image_sets import Subsample, collected
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.reference import LIMIT
from rectok.nn.overlap import Parts
from rectok.nn.spread import batch_sizes
from rectok.params import Params
from rectok.params.schema import GeneratorParams
from rectok.pipeline.judged import require_artifact
from rectok.sampling.generator import Generator
from rectok.sampling.sampler_config import SamplerConfig
from rectok.seeds import sample_seeds
from rectok.train.world import World
from rectok.trainers.stage import Evaluation, Row, TrainingStage

GFID, ACCURACY = "val_gfid", "val_sample_accuracy"
"""Columns of the log."""
PURPOSE = "evaluation while it trains"
"""Names the seeds. They are the same at every evaluation, so that only the weights differ."""


def evaluation(stage: TrainingStage, generator: Generator, section: GeneratorParams) -> Evaluation:
    """What measures the samples of a `generator` in training, together with all other processes."""
    network = metric_network_of(stage, section.evaluation.batch)
    measure = sample_quality(stage.params, stage.world, generator, network)
    return Evaluation(measure, section.evaluate_every, partial(summarised, section.evaluation.below))


def sample_quality(
    params: Params, world: World, generator: Generator, network: MetricNetwork
) -> Callable[[], dict[str, float]]:
    """Measures the samples of a `generator` beside the train split, as params.dit.evaluation says; in all processes of `world`.

    The first one gets the numbers. Images are decoded by the generator's tokenizer, which is on the device only meanwhile. The
    accuracy is left out where the metric network knows no labels.
    """
    config, spread = params.dit.evaluation, world.spread
    network.require_classes(generator.dit.config.classes)
    train = ImageDataset(params.index.shards, "train")
    of_train = extract_features(Subsample(train, LIMIT), network, params.machine.workers, spread)
    reference = ReferenceFeatures.of(of_train) if spread.first else None
    drawn = torch.from_numpy(np.unique(train.labels))
    labels = drawn[balanced_labels(len(drawn), config.per_class)]
    seeds, sizes = sample_seeds(params.seed, PURPOSE, len(labels)), batch_sizes(len(labels), config.batch)
    sampler = SamplerConfig(method="euler", points=config.points, encoder_every=1, fp8=False)

    def computed() -> Iterator[Parts]:
        for unit in spread.own(len(sizes)):
            rows = slice(unit * config.batch, (unit + 1) * config.batch)
            yield network.features(to_uint8(generator.sample(labels[rows], seeds[rows], sampler, None), "round"))

    def measure() -> dict[str, float]:
        generator.tokenizer.to(generator.device)
        parts = collected(len(labels), spread.results(computed(), sizes))
        generator.tokenizer.to("cpu")
        if reference is None:
            return {}
        features = Features.of(parts)
        accuracy = network.accuracy(features.logits, labels)
        return {GFID: frechet(features, reference), **({} if accuracy is None else {ACCURACY: accuracy})}

    return measure


def metric_network_of(stage: TrainingStage, batch: int) -> MetricNetwork:
    """The metric network that its gate passed; dvc.yaml names the gate's marker, and not the network and the shards."""
    folder = artifacts.stage_dir("metric_network")
    if not folder.exists() or not readable(stage.params.index.shards):
        raise UserError(
            f"{stage.name}.evaluate_every reads data/metric_network and data/shards, which are not both here; `dvc pull "
            "metric_network shards` or `dvc repro metric_network` brings them"
        )
    require_artifact(folder)
    return load_metric_network(folder, stage.world.device, batch)


def summarised(below: float, rows: Sequence[Row], images: int) -> dict[str, Any]:
    """The last gFID of a log, and EP_FID@k (RAEv2, arXiv 2605.18324): epochs of `images` until it is below k, None if never."""
    evaluated = [row for row in rows if GFID in row]
    reached = (row["images"] / images for row in evaluated if row[GFID] < below)
    return {"gfid": evaluated[-1][GFID], "below": below, "epochs": next(reached, None)}
