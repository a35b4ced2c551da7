"""Finetune the pixel decoder on clean latents (second stage of RecTok)."""

from typing import Any

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.params import Params
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.train.launch import launched
from rectok.train.objectives import DecoderObjective, FrozenNetworks
from rectok.trainers.images import (
    load_teacher,
    perceptual_loss,
    reconstruction_curve,
    reconstruction_preview,
    validated,
)
from rectok.trainers.stage import TrainingStage
from rectok.workloads.costs import image_flops
from rectok.workloads.objectives import adversary_of

STAGE = "decoder"


def run(params: Params) -> None:
    """Write data/decoder: the whole tokenizer, with only its pixel decoder changed."""
    if launched(params.machine, STAGE):
        return
    with TrainingStage(STAGE, params) as stage:
        source = artifacts.stage_dir("tokenizer")
        tokenizer = load_tokenizer(source)
        if stage.config.epochs:
            _train(stage, tokenizer)
        else:
            stage.take(tokenizer, str(source))
        stage.finish(lambda: _measured(stage))


def _train(stage: TrainingStage, tokenizer: Tokenizer) -> None:
    losses = stage.params.decoder.losses
    teacher = load_teacher(stage)
    adversary = adversary_of(losses.adversary)
    perceptual = perceptual_loss(losses.perceptual, teacher, stage)
    objective = DecoderObjective(tokenizer, losses, FrozenNetworks(perceptual, None, adversary))
    dataset = ImageDataset(stage.params.index.shards, "train")
    preview, curve = reconstruction_preview(stage, tokenizer), reconstruction_curve(stage, tokenizer, None)
    stage.train(
        objective, dataset, ("shards", "tokenizer", "teacher"), preview, curve, lambda: image_flops(stage.params, STAGE)
    )


def _measured(stage: TrainingStage) -> dict[str, Any]:
    before = artifacts.read_json(artifacts.summary_file("tokenizer"))
    return {"psnr": validated(stage, None)["psnr"], "psnr_before": before["psnr"]}
