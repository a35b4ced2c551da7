"""Train the tokenizer: images and teacher features in, EMA weights out."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.nn.weights import assign_weights
from rectok.params import Params
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.model import Tokenizer
from rectok.train.launch import launched
from rectok.train.world import World, join
from rectok.trainers import image_training
from rectok.trainers import stage as training
from rectok.workloads.objectives import adversary_of, teaching, tokenizer_objective

STAGE = "tokenizer"


def run(params: Params) -> None:
    """Write data/tokenizer."""
    if launched(params.machine, STAGE):
        return
    world = join(params.machine)
    section = params.tokenizer
    training.seeded(params.seed, STAGE)
    teacher = image_training.frozen_teacher(world)
    model = _initial(params, teacher.width)
    if section.training.epochs:
        summary = _trained(params, model, teacher, world)
    else:
        summary = training.keep_untrained(STAGE, section.initial.path, model, model.config, section, world)
    if summary is not None:
        taught = section.losses.semantic.weight > 0 and model.config.teacher_width == teacher.width
        teach = teaching(teacher, model.config.grid) if taught else None
        found = image_training.validated(STAGE, params, section.training.micro_batch, world, teach)
        figures = {
            "psnr": found.psnr,
            "semantic_cosine": found.semantic_cosine,
            "latent_std_min": found.latent_std_min,
            "latent_std_max": found.latent_std_max,
        }
        artifacts.write_json(artifacts.summary_file(STAGE), {**summary, **figures})
        training.finish(STAGE, params)


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


def _trained(params: Params, model: Tokenizer, teacher: VisionNetwork, world: World) -> dict[str, Any] | None:
    section = params.tokenizer
    adversary = adversary_of(section.losses.adversary)
    perceptual = image_training.perceptual_loss(section.losses.perceptual, teacher, world)
    objective = tokenizer_objective(params, model, teacher, perceptual, adversary)
    cached = section.losses.semantic.weight > 0 and params.features.storage != "online"
    dataset = ImageDataset(params.index.shards, "train", features=cached)
    loader = training.loader(params, dataset, section.training, world)
    inputs = [artifacts.stage_dir(name) for name in ("shards", "features", "teacher")]
    preview = image_training.watched(STAGE, params, model, world)
    trained = training.fit(STAGE, params, section, objective, loader, inputs, world, preview, adversary)
    summary = training.keep(STAGE, trained, model, model.config, section, world)
    return summary and {**summary, "perceptual": image_training.name_of(perceptual)}
