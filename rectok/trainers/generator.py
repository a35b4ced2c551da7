"""Train a DiT^DH; the generator and its autoguidance model differ only in their section of the parameters."""

from typing import Any

from rectok import artifacts
from rectok.data.dataset import LatentDataset
from rectok.dit.loading import load_dit
from rectok.nn.weights import assign_weights
from rectok.params import Params
from rectok.params.schema import DiTParams
from rectok.sampling.generator import Generator
from rectok.sampling.normalisation import LatentStatistics
from rectok.tokenizer.loading import load_tokenizer
from rectok.train.launch import launched
from rectok.train.objectives import DiTObjective
from rectok.train.world import World, join
from rectok.trainers import stage as training
from rectok.trainers.previews import newest_samples, sample_preview
from rectok.workloads.generators import generator_objective


def train_generator(stage: str, params: Params, section: DiTParams) -> None:
    """Write data/<stage>: EMA and raw weights, log, summary and a preview of samples."""
    if launched(params.machine, stage):
        return
    world = join(params.machine)
    training.seeded(params.seed, stage)
    tokenizer = load_tokenizer(artifacts.stage_dir("tokenizer"))
    classes = len(artifacts.read_json(artifacts.classes_file()))
    statistics = LatentStatistics.load().to(world.device)
    objective = generator_objective(section, tokenizer.config, classes, statistics.normalise)
    model = objective.dit
    weights = training.initial_weights(section.initial)
    if weights is not None:
        assign_weights(model, weights, section.initial.path)
    if section.training.epochs:
        watched = Generator(model, None, tokenizer, statistics, world.device)
        summary = _trained(stage, params, section, objective, world, watched)
    else:
        summary = training.keep_untrained(stage, section.initial.path, model, model.config, section, world)
    if summary is not None:
        # The weights just written, not the engine's: under ZeRO 3 no process can run that model alone.
        written = load_dit(artifacts.stage_dir(stage)).to(world.device)
        generator = Generator(written, None, tokenizer.to(world.device), statistics, world.device)
        sample_std = sample_preview(stage, generator)
        artifacts.write_json(artifacts.summary_file(stage), {**summary, "sample_std": sample_std})
        training.finish(stage, params)


def _trained(
    stage: str, params: Params, section: DiTParams, objective: DiTObjective, world: World, watched: Generator
) -> dict[str, Any] | None:
    dataset = LatentDataset(params.index.shards, "train")
    loader = training.loader(params, dataset, section.training, world)
    inputs = [artifacts.stage_dir(name) for name in ("latents", "statistics")]
    preview = newest_samples(stage, watched)
    trained = training.fit(stage, params, section, objective, loader, inputs, world, preview)
    return training.keep(stage, trained, objective.dit, objective.dit.config, section, world)
