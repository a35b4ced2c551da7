"""Small pictures that a person wants to see beside a checkpoint."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.evaluation.image_quality import to_uint8
from rectok.evaluation.validation import reconstructed
from rectok.nn.precision import bfloat16_on_gpu
from rectok.reporting.images import enlarged, grid, side_by_side, write_png
from rectok.sampling.config import SamplerConfig
from rectok.sampling.generator import Generator
from rectok.tokenizer.model import Tokenizer
from rectok.train.world import World

COLUMNS = 10
PREVIEW_POINTS, QUICK_POINTS = 25, 10
"""Time points of samples beside a checkpoint, and of those that a running training shows."""


def reconstruction_preview(stage: str, originals: Tensor, reconstructions: Tensor) -> None:
    """Originals above reconstructions, both uint8 [N, 3, H, H], in rows of ten."""
    _write_pairs(artifacts.stage_dir(stage) / "preview.png", originals, reconstructions)


def _write_pairs(path: Path, originals: Tensor, reconstructions: Tensor) -> None:
    pairs = [originals.numpy(), reconstructions.numpy()]
    write_png(path, grid(enlarged(side_by_side(pairs, COLUMNS)), COLUMNS))


def newest_reconstructions(stage: str, tokenizer: Tokenizer, dataset: ImageDataset, world: World) -> Callable[[], Path]:
    """Draws the first images of `dataset` and what a `tokenizer` in training makes of them."""
    originals = torch.stack([dataset.image(row) for row in range(min(COLUMNS, len(dataset)))])

    def draw() -> Path:
        with bfloat16_on_gpu(world.device):
            _, fake = reconstructed(tokenizer, originals.to(world.device))
        _write_pairs(artifacts.newest_picture(stage), originals, fake.cpu())
        return artifacts.newest_picture(stage)

    return draw


def sample_preview(stage: str, generator: Generator) -> float:
    """Unguided samples of up to ten classes, four each, into preview.png; the mean over pixels of their std."""
    images = _write_samples(artifacts.stage_dir(stage) / "preview.png", generator, rows=4, points=PREVIEW_POINTS)
    return images.double().std(0).mean().item()


def _write_samples(path: Path, generator: Generator, rows: int, points: int) -> Tensor:
    classes = generator.dit.config.classes
    labels = torch.linspace(0, classes - 1, min(classes, COLUMNS)).round().long().repeat(rows)
    seeds = torch.arange(len(labels))
    images = generator.sample(labels, seeds, SamplerConfig(method="euler", points=points), None)
    write_png(path, grid(enlarged(to_uint8(images, "round").cpu().numpy()), min(classes, COLUMNS)))
    return images


def newest_samples(stage: str, generator: Generator) -> Callable[[], Path]:
    """Draws what a generator in training makes of one seed per class. Its tokenizer comes to the device only for this."""

    def draw() -> Path:
        generator.tokenizer.to(generator.device)
        _write_samples(artifacts.newest_picture(stage), generator, rows=1, points=QUICK_POINTS)
        generator.tokenizer.to("cpu")
        return artifacts.newest_picture(stage)

    return draw
