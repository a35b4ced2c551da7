"""Sets of images, as torch-fidelity wants them: data sets of uint8 [3, H, W]."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rectok.data.dataset import ImageDataset


class Stack(Dataset[Tensor]):
    """Images in memory, uint8 [N, 3, H, W]."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Tensor:
        return self.images[position]


class Sample(Dataset[Tensor]):
    """At most `limit` images of a split, evenly spaced; read when they are asked for."""

    def __init__(self, dataset: ImageDataset, limit: int) -> None:
        self.dataset = dataset
        self.positions = np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).round().astype(int)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: int) -> Tensor:
        return self.dataset.image(int(self.positions[position]))


def stacked(dataset: ImageDataset) -> Tensor:
    """All images of a split, uint8 [N, 3, H, W]."""
    return torch.stack([dataset.image(position) for position in range(len(dataset))])
