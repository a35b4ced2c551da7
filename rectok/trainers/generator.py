"""Train a DiT^DH. The generator and its autoguidance model differ only in their section of the parameters."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import LatentDataset
from rectok.dit.model import load_dit
from rectok.errors import UserError
from rectok.evaluation.image_quality import to_uint8
from rectok.nn.counting import Shapes
from rectok.nn.memory import fitting
from rectok.nn.precision import bfloat16_on_gpu
from rectok.nn.weights import assign_weights
from rectok.params import Params
from rectok.params.schema import DiTParams, GeneratorParams
from rectok.reporting.images import COLUMNS, enlarged, grid, write_png
from rectok.sampling.generator import Generator, LatentStatistics
from rectok.sampling.sampler_config import SamplerConfig
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.train.launch import launched
from rectok.train.objectives import DiTObjective
from rectok.train.step_random import StepRandom
from rectok.trainers.stage import Evaluation, TrainingStage, initial_weights
from rectok.workloads.generators import generator_objective, step_cost

VALIDATED, VALIDATION_TIME, VALIDATION_SEED = 256, 0.5, 0
"""Latents of a point of the validation curve, the time at which their loss is measured, and the seed of their noise."""
PREVIEW_POINTS, QUICK_POINTS = 25, 10
"""Time points of the samples beside the weights, and of those that a running training shows."""


def train_generator(name: str, params: Params) -> None:
    """Write data/<name>: EMA and raw weights, log, summary and a preview of samples.

    Beside a generator that guides itself (dit.internal) the autoguidance model is not trained, and nothing loads it.
    """
    if launched(params.machine, name):
        return
    section: DiTParams = getattr(params, name)
    with TrainingStage(name, params) as stage:
        tokenizer = load_tokenizer(artifacts.stage_dir("tokenizer"))
        classes = len(artifacts.read_json(artifacts.classes_file(), list))
        statistics = LatentStatistics.load().to(stage.world.device)
        objective = fitting(
            f"{name}.sizes", lambda: generator_objective(section, tokenizer.config, classes, statistics.normalise)
        )
        weights = initial_weights(section.initial)
        if weights is not None:
            assign_weights(objective.dit, weights, section.initial.path)
        if name == "autoguidance" and params.dit.internal.block:
            stage.take(objective.dit, section.initial.path or "random weights, since dit.internal guides in its place")
        elif section.training.epochs:
            generator = Generator(objective.dit, None, tokenizer, statistics, stage.world.device)
            dataset = _latents(params, features=objective.alignment is not None)
            preview, curve = _sample_preview(name, generator), _loss_curve(stage, objective)
            flops = partial(_image_flops, stage, tokenizer)
            evaluation = _evaluation(stage, generator)
            stage.train(objective, dataset, ("latents", "statistics"), preview, curve, flops, evaluation)
        else:
            stage.take(objective.dit, section.initial.path)
        stage.finish(lambda: _measured(stage, tokenizer, statistics))


def _latents(params: Params, features: bool) -> LatentDataset:
    """The training latents. Features need not lie on the machine that trains the generator, so none but alignment reads them."""
    if features and not all(artifacts.features_file(shard).exists() for shard in params.index.shards):
        raise UserError(
            "dit.alignment.block reads data/features, which is not whole here; `dvc pull features` or `dvc repro features` "
            "brings it"
        )
    return LatentDataset(params.index.shards, "train", features=features)


def _evaluation(stage: TrainingStage, generator: Generator) -> Evaluation | None:
    """What measures the samples of a generator in training, where parameters ask for it."""
    section = getattr(stage.params, stage.name)
    if not isinstance(section, GeneratorParams) or not section.evaluate_every:
        return None
    from rectok.trainers.sample_quality import evaluation  # it imports timm, which takes seconds

    return evaluation(stage, generator, section)


def _image_flops(stage: TrainingStage, tokenizer: Tokenizer) -> float:
    section: DiTParams = getattr(stage.params, stage.name)
    storage = stage.params.latents.storage
    return step_cost(Shapes(), section, tokenizer.config, 1, storage, batch=2).flops / 2  # labels are looked up


def _measured(stage: TrainingStage, tokenizer: Tokenizer, statistics: LatentStatistics) -> dict[str, Any]:
    """Write preview.png: unguided samples of up to ten classes, four each. The mean over pixels of their std."""
    # The weights just written, not the engine's: under ZeRO 3 no process can run that model alone.
    device = stage.world.device
    generator = Generator(load_dit(stage.folder).to(device), None, tokenizer.to(device), statistics, device)
    images = _write_samples(stage.folder / "preview.png", generator, rows=4, points=PREVIEW_POINTS)
    return {"sample_std": images.double().std(0).mean().item()}


def _loss_curve(stage: TrainingStage, objective: DiTObjective) -> Callable[[], dict[str, float]]:
    """Measures the loss of a generator in training on the first VALIDATED latents of the validation split.

    Time and noise are the same at every point of the curve; nothing is measured without latents.
    """
    dataset, device = LatentDataset(stage.params.index.shards, "val"), stage.world.device
    rows = range(min(VALIDATED, len(dataset)))

    def measure() -> dict[str, float]:
        if not rows:
            return {}
        batch = dataset.batch(rows, [False] * len(rows)).to(device)
        draws = StepRandom.of((VALIDATION_SEED,), len(rows), 0, 1, device)
        with bfloat16_on_gpu(device):
            return {"val_loss": objective.loss_at(batch, draws, VALIDATION_TIME).item()}

    return measure


def _sample_preview(name: str, generator: Generator) -> Callable[[], Path]:
    """Draws one sample per class of a generator in training. Its tokenizer is on the device only meanwhile."""
    path = artifacts.newest_picture(name)

    def draw() -> Path:
        generator.tokenizer.to(generator.device)
        _write_samples(path, generator, rows=1, points=QUICK_POINTS)
        generator.tokenizer.to("cpu")
        return path

    return draw


def _write_samples(path: Path, generator: Generator, rows: int, points: int) -> Tensor:
    classes = generator.dit.config.classes
    labels = torch.linspace(0, classes - 1, min(classes, COLUMNS)).round().long().repeat(rows)
    seeds = torch.arange(len(labels))
    sampler = SamplerConfig(method="euler", points=points, encoder_every=1, fp8=False)
    images = generator.sample(labels, seeds, sampler, None)
    write_png(path, grid(enlarged(to_uint8(images, "round").cpu().numpy()), min(classes, COLUMNS)))
    return images
