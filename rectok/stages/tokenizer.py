"""Train the tokenizer: images and teacher features in, EMA weights out."""

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.params import Params
from rectok.stages import training
from rectok.train.world import join, launched
from rectok.workloads.objectives import adversary_of, teaching, tokenizer_objective

STAGE = "tokenizer"


def run(params: Params) -> None:
    """Write data/tokenizer."""
    if launched(params.machine, STAGE):
        return
    world = join(params.machine)
    section = params.tokenizer
    training.seeded(params.seed, STAGE)
    teacher = training.frozen_teacher(world)
    adversary = adversary_of(section.losses.adversary)
    perceptual = training.perceptual_loss(section.losses.perceptual, teacher, world)
    objective = tokenizer_objective(params, teacher, perceptual, adversary)
    model = objective.tokenizer
    distils = section.losses.semantic.weight > 0
    cached = distils and params.features.storage != "online"
    dataset = ImageDataset(params.index.shards, "train", features=cached)
    loader = training.loader(params, dataset, section.training, world)
    inputs = [artifacts.stage_dir(name) for name in ("shards", "features", "teacher")]
    trained = training.fit(STAGE, params, section, objective, loader, inputs, world, adversary)
    summary = training.keep(STAGE, trained, model, model.config, section, world)
    if summary is not None:
        batch = section.training.micro_batch
        teach = teaching(teacher, model.config.grid) if distils else None
        found = training.validated(STAGE, params, batch, world, teach)
        figures = {
            "psnr": found.psnr,
            "semantic_cosine": found.semantic_cosine,
            "latent_std_min": found.latent_std_min,
            "latent_std_max": found.latent_std_max,
            "perceptual": training.name_of(perceptual),
        }
        artifacts.write_json(artifacts.summary_file(STAGE), {**summary, **figures})
        training.finish(STAGE)
