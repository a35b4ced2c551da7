"""Train the tokenizer: images and teacher features in, EMA weights out."""

from typing import Any

from rectok.data.dataset import ImageDataset
from rectok.nn.memory import fitting
from rectok.nn.weights import assign_weights
from rectok.params import Params
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.tokenizer.published import PublishedTokenizer
from rectok.tokenizer.rae import RAETokenizer
from rectok.train.launch import launched
from rectok.trainers.images import (
    load_teacher,
    perceptual_loss,
    reconstruction_curve,
    reconstruction_preview,
    validated,
)
from rectok.trainers.stage import TrainingStage, initial_weights
from rectok.workloads.costs import image_flops
from rectok.workloads.objectives import Teaching, adversary_of, tokenizer_objective
from rectok.workloads.tokenizers import tokenizer_config

STAGE = "tokenizer"


def run(params: Params) -> None:
    """Write data/tokenizer."""
    if launched(params.machine, STAGE):
        return
    with TrainingStage(STAGE, params) as stage:
        teacher = load_teacher(stage)
        tokenizer = _initial(params, teacher)
        if stage.config.epochs:
            _train(stage, tokenizer, teacher)
        else:
            stage.take(tokenizer, params.tokenizer.initial.path)
        stage.finish(lambda: _measured(stage, tokenizer, teacher))


def _initial(params: Params, teacher: VisionNetwork) -> Tokenizer:
    """The tokenizer that training starts from."""
    file = params.tokenizer.initial
    if params.tokenizer.kind == "published":
        return _published(params, teacher)
    weights = initial_weights(file)
    if weights is None:
        return _new(params, teacher)
    teacher_width = teacher.width
    if not params.tokenizer.training.epochs and "semantic.out.bias" in weights:
        teacher_width = len(weights["semantic.out.bias"])  # of the teacher that the weights learnt from
    model = _built(params, teacher_width)
    assign_weights(model, weights, file.path)
    return model


def _new(params: Params, teacher: VisionNetwork) -> Tokenizer:
    """A new tokenizer; where the teacher encodes, with its weights."""
    tokenizer = _built(params, teacher.width)
    if isinstance(tokenizer, RAETokenizer):
        tokenizer.encoder.take(teacher)
    return tokenizer


def _built(params: Params, teacher_width: int) -> Tokenizer:
    config = tokenizer_config(params, teacher_width)
    return fitting("tokenizer.sizes", lambda: build_tokenizer(config))


def _published(params: Params, teacher: VisionNetwork) -> Tokenizer:
    """The autoencoder of diffusers, which `initial` holds in the names of diffusers."""
    tokenizer = build_tokenizer(tokenizer_config(params, teacher.width))
    assert isinstance(tokenizer, PublishedTokenizer)
    tokenizer.take(params.tokenizer.initial)
    return tokenizer


def _train(stage: TrainingStage, tokenizer: Tokenizer, teacher: VisionNetwork) -> None:
    params, losses = stage.params, stage.params.tokenizer.losses
    adversary = adversary_of(losses.adversary)
    perceptual = perceptual_loss(losses.perceptual, teacher, stage)
    objective = tokenizer_objective(params, tokenizer, teacher, perceptual, adversary)
    cached = params.tokenizer.distils and not params.distils_online
    dataset = ImageDataset(params.index.shards, "train", features=cached)
    curve = reconstruction_curve(stage, tokenizer, _teaching(stage, tokenizer, teacher))
    preview = reconstruction_preview(stage, tokenizer)
    stage.train(
        objective, dataset, ("shards", "features", "teacher"), preview, curve, lambda: image_flops(params, STAGE)
    )


def _measured(stage: TrainingStage, tokenizer: Tokenizer, teacher: VisionNetwork) -> dict[str, Any]:
    return validated(stage, _teaching(stage, tokenizer, teacher))


def _teaching(stage: TrainingStage, tokenizer: Tokenizer, teacher: VisionNetwork) -> Teaching | None:
    """The teacher that the semantic decoder is compared with; None where it has not learnt from this one."""
    taught = stage.params.tokenizer.distils and tokenizer.config.teacher_width == teacher.width
    return Teaching(teacher, tokenizer.config.grid) if taught else None
