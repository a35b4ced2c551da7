"""Train the tokenizer: images and teacher features in, EMA weights out."""

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.params import Params
from rectok.stages import training
from rectok.tokenizer.model import Tokenizer
from rectok.train.adversary import Adversary
from rectok.train.objectives import Frozen, TokenizerObjective
from rectok.train.world import join, launched

STAGE = "tokenizer"


def run(params: Params) -> None:
    """Write data/tokenizer."""
    if launched(params.machine, STAGE):
        return
    world = join(params.machine)
    section = params.tokenizer
    training.seeded(params.seed, STAGE)
    teacher = training.frozen_teacher(world)
    model = Tokenizer(params.tokenizer_config(teacher.width))
    distils = section.losses.semantic.weight > 0
    online = params.features.storage == "online"
    adversary = Adversary(section.losses.adversary) if section.losses.adversary.weight else None
    perceptual = training.perceptual_loss(section.losses.perceptual, teacher, world)

    def teach(images: Tensor) -> Tensor:
        with torch.no_grad():
            return teacher.tokens(images, model.config.grid)

    objective = TokenizerObjective(
        model, section.losses, section.flow, section.masking, Frozen(perceptual, teach if online else None, adversary)
    )
    dataset = ImageDataset(params.index.shards, "train", features=distils and not online)
    loader = training.loader(params, dataset, section.training, world)
    inputs = [artifacts.stage_dir(name) for name in ("shards", "features", "teacher")]
    trained = training.fit(STAGE, params, section, objective, loader, inputs, world, adversary)
    summary = training.keep(STAGE, trained, model, model.config, section, world)
    if summary is not None:
        batch = section.training.micro_batch
        found = training.validated(STAGE, params, batch, world, teach if distils else None)
        figures = {
            "psnr": found.psnr,
            "semantic_cosine": found.semantic_cosine,
            "latent_std_min": found.latent_std_min,
            "latent_std_max": found.latent_std_max,
            "perceptual": training.name_of(perceptual),
        }
        artifacts.write_json(artifacts.summary_file(STAGE), {**summary, **figures})
        training.finish(STAGE)
