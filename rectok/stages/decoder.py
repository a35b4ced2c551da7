"""Finetune the pixel decoder on clean latents (second stage of RecTok)."""

from typing import Any

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.params import Params
from rectok.tokenizer.loading import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.train.launch import launched
from rectok.train.objectives import DecoderObjective, FrozenNetworks
from rectok.train.world import World, join
from rectok.trainers import image_training
from rectok.trainers import stage as training
from rectok.workloads.objectives import adversary_of

STAGE = "decoder"


def run(params: Params) -> None:
    """Write data/decoder: the whole tokenizer, with only its pixel decoder changed."""
    if launched(params.machine, STAGE):
        return
    world = join(params.machine)
    section = params.decoder
    training.seeded(params.seed, STAGE)
    source = artifacts.stage_dir("tokenizer")
    model = load_tokenizer(source)
    if section.training.epochs:
        summary = _trained(params, model, world)
    else:
        summary = training.keep_untrained(STAGE, str(source), model, model.config, section, world)
    if summary is not None:
        before = artifacts.read_json(artifacts.summary_file("tokenizer"))
        found = image_training.validated(STAGE, params, section.training.micro_batch, world, None)
        figures = {"psnr": found.psnr, "psnr_before": before["psnr"]}
        artifacts.write_json(artifacts.summary_file(STAGE), {**summary, **figures})
        training.finish(STAGE, params)


def _trained(params: Params, model: Tokenizer, world: World) -> dict[str, Any] | None:
    section = params.decoder
    teacher = image_training.frozen_teacher(world)
    adversary = adversary_of(section.losses.adversary)
    perceptual = image_training.perceptual_loss(section.losses.perceptual, teacher, world)
    objective = DecoderObjective(model, section.losses, FrozenNetworks(perceptual, None, adversary))
    dataset = ImageDataset(params.index.shards, "train")
    loader = training.loader(params, dataset, section.training, world)
    inputs = [artifacts.stage_dir(name) for name in ("shards", "tokenizer", "teacher")]
    preview = image_training.watched(STAGE, params, model, world)
    trained = training.fit(STAGE, params, section, objective, loader, inputs, world, preview, adversary)
    summary = training.keep(STAGE, trained, model, model.config, section, world)
    return summary and {**summary, "perceptual": image_training.name_of(perceptual)}
