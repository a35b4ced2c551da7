"""Trains a small classifier on the train split, for where a vision network's weights cannot be had."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import timm.optim
import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.artifacts import RATE
from rectok.data.dataset import ImageDataset
from rectok.errors import UserError
from rectok.nn.precision import bfloat16_on_gpu, precision_on
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import ClassifierTraining
from rectok.train.progress import reporting
from rectok.train.throughput import Work, record
from rectok.train.training_config import too_few

READ_EVERY = 20
"""Steps between two looks at the loss: each waits for the device, and a loss that is no number stays none."""


@dataclass(frozen=True)
class LabelledImages:
    """A whole split in memory: images uint8 [N, 3, H, W], labels int64 [N]."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, dataset: ImageDataset) -> "LabelledImages":
        """All of `dataset`."""
        images = torch.stack([dataset.image(i) for i in range(len(dataset))])
        return cls(images, torch.as_tensor(dataset.labels, dtype=torch.int64))

    def to(self, device: torch.device) -> "LabelledImages":
        """The same on `device`."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


def train_classifier(
    network: VisionNetwork, data: LabelledImages, config: ClassifierTraining, flip: bool, seed: int, name: str,
    flops: float | None = None,
) -> None:  # fmt: skip
    """Train `network` in place on `data` (same device): one-cycle rate, label smoothing, random shifts and, by `flip`, mirrors.

    `flops` are those of one image in a step, if they were counted. On a CPU the weights depend on the initial ones and `seed`
    alone. Raises UserError once the loss is not finite.
    """
    batch = min(config.batch, len(data.labels))
    epochs = config.epochs_of(len(data.labels))
    steps = epochs * config.epoch_steps(len(data.labels))
    if sentence := too_few(name, steps):
        print(f"warning: {sentence}", flush=True)
    optimizer = timm.optim.create_optimizer_v2(network, config.optimizer, config.lr, config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=max(2, steps))
    draws = torch.Generator().manual_seed(seed)
    devices = [data.labels.device] if data.labels.device.type == "cuda" else []
    network.train()
    work = Work(flops, precision_on(data.labels.device), 1, data.labels.device)
    read, then = 0, None  # the first rate is unknown, since that step starts the device's libraries
    with reporting(name, 0, steps, first=True) as reporter, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # for layers that drop
        for step, rows in enumerate(_batches(len(data.labels), batch, epochs, draws), 1):
            rows = _sent(rows, data.labels.device)
            images, labels = augmented(data.images[rows], config.crop_padding, flip, draws), data.labels[rows]
            with bfloat16_on_gpu(labels.device):
                loss = F.cross_entropy(network(images), labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if (step - 1) % READ_EVERY and step < steps:
                continue
            value = loss.item()
            if not math.isfinite(value):
                raise UserError(f"{name}: the loss is {value} at step {step} of {steps}; lower {name}.training.lr")
            if reporter is not None:
                now = time.monotonic()
                figures: dict[str, float] = {}
                if then is not None:
                    figures = work.figures((step - read) * batch, now - then, 0.0)  # all images are on the device
                record(name, step, figures)
                read, then, rate = step, now, figures.pop(RATE, None)
                reporter.report(step, {"loss": value, **figures}, rate)
    network.frozen()


@torch.no_grad()
def accuracy(network: VisionNetwork, data: LabelledImages, batch: int) -> float:
    """Share of `data` that `network`, in eval mode, gives its own label; `data` lies on the network's device."""
    pairs = zip(data.images.split(batch), data.labels.split(batch), strict=True)
    right = sum(int((network.logits(images.float() / 255).argmax(1) == labels).sum()) for images, labels in pairs)
    return right / len(data.labels)


def augmented(images: Tensor, padding: int, flip: bool, draws: torch.Generator) -> Tensor:
    """uint8 [B, 3, H, W] → floats in [0, 1], each image shifted over its repeated border and perhaps mirrored."""
    count, _, height, width = images.shape
    device = images.device
    padded = F.pad(images.float() / 255, [padding] * 4, mode="replicate")
    down, right = _sent(torch.randint(0, 2 * padding + 1, (2, count, 1), generator=draws), device)
    rows, columns = down + torch.arange(height, device=device), right + torch.arange(width, device=device)
    if flip:
        mirrored = _sent(torch.rand(count, 1, generator=draws) < 0.5, device)
        columns = torch.where(mirrored, columns.flip(1), columns)
    each = torch.arange(count, device=device)[:, None, None]
    return padded[each, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def _batches(count: int, batch: int, epochs: int, draws: torch.Generator) -> Iterator[Tensor]:
    """Whole batches of row numbers; every epoch in another order, so that none is always left out."""
    for _ in range(epochs):
        yield from torch.randperm(count, generator=draws)[: count - count % batch].split(batch)


def _sent(draws: Tensor, device: torch.device) -> Tensor:
    """What was drawn on the host, on `device`; a GPU goes on with the step before meanwhile."""
    return draws.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else draws.to(device)
