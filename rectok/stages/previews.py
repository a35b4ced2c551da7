"""Small pictures that a person wants to see beside a checkpoint."""

import torch
from torch import Tensor

from rectok import artifacts
from rectok.evaluation.config import SamplerConfig
from rectok.evaluation.generator import Generator
from rectok.evaluation.metrics import to_uint8
from rectok.evaluation.pictures import enlarged, grid, side_by_side, write_png

COLUMNS = 10
PREVIEW_POINTS = 25


def reconstruction_preview(stage: str, originals: Tensor, reconstructions: Tensor) -> None:
    """Originals above reconstructions, both uint8 [N, 3, H, H], in rows of ten."""
    pairs = [originals.numpy(), reconstructions.numpy()]
    write_png(artifacts.stage_dir(stage) / "preview.png", grid(enlarged(side_by_side(pairs, COLUMNS)), COLUMNS))


def sample_preview(stage: str, generator: Generator) -> float:
    """Unguided samples of up to ten classes, four each, into preview.png; the mean over pixels of their std."""
    classes = generator.dit.config.classes
    labels = torch.linspace(0, classes - 1, min(classes, COLUMNS)).round().long().repeat(4)
    seeds = torch.arange(len(labels))
    images = generator.sample(labels, seeds, SamplerConfig(method="euler", points=PREVIEW_POINTS), None)
    write_png(
        artifacts.stage_dir(stage) / "preview.png",
        grid(enlarged(to_uint8(images, "round").cpu().numpy()), min(classes, COLUMNS)),
    )
    return images.double().std(0).mean().item()
