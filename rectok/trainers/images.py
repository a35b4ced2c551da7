"""What the two stages that train on images share: the networks that help them learn, and what they show."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.evaluation.validation import Validation, reconstructed, validate
from rectok.losses.loss_config import PerceptualConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.nn.precision import bfloat16_on_gpu
from rectok.reporting.images import enlarged, grid, side_by_side, write_png
from rectok.teacher.loading import load_network
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.loading import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.trainers.stage import TrainingStage

COLUMNS = 10


def load_teacher(stage: TrainingStage) -> VisionNetwork:
    """The distilled network, on this process's device."""
    return load_network(artifacts.stage_dir("teacher")).on(stage.world.device)


def perceptual_loss(config: PerceptualConfig, teacher: VisionNetwork, stage: TrainingStage) -> PerceptualLoss | None:
    """The perceptual term, or None where its weight is 0. The summary names its network."""
    loss = PerceptualLoss(config, teacher.layers).to(stage.world.device) if config.weight else None
    stage.summary["perceptual"] = loss.name if loss is not None else "none"
    return loss


def validated(stage: TrainingStage, teach: Callable[[Tensor], Tensor] | None) -> Validation:
    """Reconstruct the validation split with the weights just written, and save a preview."""
    tokenizer = load_tokenizer(stage.folder).to(stage.world.device)
    dataset = ImageDataset(stage.params.index.shards, "val")
    validation = validate(tokenizer, dataset, teach, stage.config.micro_batch)
    _write_pairs(stage.folder / "preview.png", validation.originals, validation.reconstructions)
    return validation


def reconstruction_preview(stage: TrainingStage, tokenizer: Tokenizer) -> Callable[[], Path]:
    """Draws the first images of the validation split, and what a `tokenizer` in training makes of them."""
    dataset, path = ImageDataset(stage.params.index.shards, "val"), artifacts.newest_picture(stage.name)
    originals = torch.stack([dataset.image(row) for row in range(min(COLUMNS, len(dataset)))])

    def draw() -> Path:
        device = stage.world.device
        with bfloat16_on_gpu(device):
            _, reconstructions = reconstructed(tokenizer, originals.to(device))
        _write_pairs(path, originals, reconstructions.cpu())
        return path

    return draw


def _write_pairs(path: Path, originals: Tensor, reconstructions: Tensor) -> None:
    """Originals above reconstructions, both uint8 [N, 3, H, H], in rows of ten."""
    pairs = [originals.numpy(), reconstructions.numpy()]
    write_png(path, grid(enlarged(side_by_side(pairs, COLUMNS)), COLUMNS))
