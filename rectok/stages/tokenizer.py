"""Train the tokenizer: images and teacher features in, EMA weights out."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.nn.weights import assign_weights
from rectok.params import Params
from rectok.stages import training
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.model import Tokenizer
from rectok.train.adversary import Adversary
from rectok.train.objectives import Frozen, TokenizerObjective
from rectok.train.world import World, join, launched

STAGE = "tokenizer"
Teach = Callable[[Tensor], Tensor]


def run(params: Params) -> None:
    """Write data/tokenizer."""
    if launched(params.machine, STAGE):
        return
    world = join(params.machine)
    section = params.tokenizer
    training.seeded(params.seed, STAGE)
    teacher = training.frozen_teacher(world)
    model = _initial(params, teacher.width)

    def teach(images: Tensor) -> Tensor:
        with torch.no_grad():
            return teacher.tokens(images, model.config.grid)

    if section.training.epochs:
        summary = _trained(params, model, teacher, teach, world)
    else:
        summary = training.keep_untrained(STAGE, section.initial.path, model, model.config, section, world)
    if summary is not None:
        taught = section.losses.semantic.weight > 0 and model.config.teacher_width == teacher.width
        found = training.validated(STAGE, params, section.training.micro_batch, world, teach if taught else None)
        figures = {
            "psnr": found.psnr,
            "semantic_cosine": found.semantic_cosine,
            "latent_std_min": found.latent_std_min,
            "latent_std_max": found.latent_std_max,
        }
        artifacts.write_json(artifacts.summary_file(STAGE), {**summary, **figures})
        training.finish(STAGE)


def _initial(params: Params, teacher_width: int) -> Tokenizer:
    """The tokenizer that training starts from."""
    file = params.tokenizer.initial
    weights = training.initial_weights(file)
    if weights is None:
        return Tokenizer(params.tokenizer_config(teacher_width))
    if not params.tokenizer.training.epochs:
        teacher_width = _teacher_width(weights, teacher_width)
    model = Tokenizer(params.tokenizer_config(teacher_width))
    assign_weights(model, weights, file.path)
    return model


def _teacher_width(weights: Mapping[str, Tensor], default: int) -> int:
    """The width that `weights` were taught; without training, the teacher here need not be theirs."""
    bias = weights.get("semantic.out.bias")
    return default if bias is None else len(bias)


def _trained(
    params: Params, model: Tokenizer, teacher: VisionNetwork, teach: Teach, world: World
) -> dict[str, Any] | None:
    section = params.tokenizer
    distils = section.losses.semantic.weight > 0
    online = params.features.storage == "online"
    adversary = Adversary(section.losses.adversary) if section.losses.adversary.weight else None
    perceptual = training.perceptual_loss(section.losses.perceptual, teacher, world)
    objective = TokenizerObjective(
        model, section.losses, section.flow, section.masking, Frozen(perceptual, teach if online else None, adversary)
    )
    dataset = ImageDataset(params.index.shards, "train", features=distils and not online)
    loader = training.loader(params, dataset, section.training, world)
    inputs = [artifacts.stage_dir(name) for name in ("shards", "features", "teacher")]
    trained = training.fit(STAGE, params, section, objective, loader, inputs, world, adversary)
    summary = training.keep(STAGE, trained, model, model.config, section, world)
    return summary and {**summary, "perceptual": training.name_of(perceptual)}
