"""What the two stages that train on images share: the networks that help them learn, and what they show."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.evaluation.validation import Validation, validate
from rectok.losses.config import PerceptualConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.params import Params
from rectok.teacher.loading import load_network
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.loading import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.train.world import World
from rectok.trainers.previews import newest_reconstructions, reconstruction_preview


def frozen_teacher(world: World) -> VisionNetwork:
    """The distilled network, on this process's device."""
    return load_network(artifacts.stage_dir("teacher")).on(world.device)


def perceptual_loss(config: PerceptualConfig, teacher: VisionNetwork, world: World) -> PerceptualLoss | None:
    """The perceptual term, or None where its weight is 0."""
    if config.weight == 0:
        return None
    return PerceptualLoss(config, teacher.layers).to(world.device)


def validated(
    stage: str, params: Params, batch: int, world: World, teach: Callable[[Tensor], Tensor] | None
) -> Validation:
    """Reconstruct the validation split with the weights just written, and keep a preview."""
    tokenizer = load_tokenizer(artifacts.stage_dir(stage)).to(world.device)
    found = validate(tokenizer, ImageDataset(params.index.shards, "val"), teach, batch)
    reconstruction_preview(stage, found.originals, found.reconstructions)
    return found


def watched(stage: str, params: Params, tokenizer: Tokenizer, world: World) -> Callable[[], Path]:
    """Draws what a `tokenizer` in training makes of images of the validation split."""
    return newest_reconstructions(stage, tokenizer, ImageDataset(params.index.shards, "val"), world)


def name_of(perceptual: PerceptualLoss | None) -> str:
    """Which perceptual network was used, for the report."""
    return perceptual.name if perceptual is not None else "none"
