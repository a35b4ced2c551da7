"""The network that metrics are computed with, and what it is called."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rectok.artifacts import read_json
from rectok.errors import UserError
from rectok.teacher.loading import load_network
from rectok.teacher.network import VisionNetwork


@dataclass(frozen=True)
class Judge:
    """The network kept in `folder`, on `device`; it sees `batch` images at a time.

    `network` is its name; `stand_in` says in words that it is one, and how it was trained, or is empty.
    """

    folder: Path
    device: str
    batch: int
    network: str
    stand_in: str
    model: VisionNetwork

    @property
    def title(self) -> str:
        """What stands beside a figure."""
        return f"{self.network} (a stand-in)" if self.stand_in else self.network

    @property
    def described(self) -> str:
        """What stands in a protocol: the name, or in words that it is a stand-in."""
        return self.stand_in or self.network

    def require_classes(self, count: int) -> None:
        """Raise UserError unless the judge tells exactly `count` classes apart: labels would mean something else."""
        if self.model.classes != count:
            raise UserError(
                f"judge {self.network} tells {self.model.classes} classes apart, but the images have {count}; "
                'set judge.network.weights to a network of these classes, or to "" to train one here'
            )

    @torch.no_grad()
    def labels(self, images: Tensor) -> Tensor:
        """The most likely label of each of uint8 images [N, 3, H, W], int64 [N]."""
        parts = [
            self.model.logits(part.to(self.device).float() / 255).argmax(1).cpu() for part in images.split(self.batch)
        ]
        return torch.cat(parts)

    def recognised(self, images: Tensor, labels: Tensor) -> float:
        """Share of uint8 images [N, 3, H, W] whose most likely label is the one in `labels` [N]."""
        return float((self.labels(images) == labels.cpu()).double().mean())


def load_judge(folder: Path, device: str, batch: int) -> Judge:
    """The judge that the stage `judge` kept in `folder`."""
    summary = read_json(folder / "summary.json")
    model = load_network(folder).to(device)
    return Judge(folder, device, batch, summary["network"], summary["stand_in"], model)
