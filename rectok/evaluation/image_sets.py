"""Sets of images, as torch-fidelity wants them: data sets of uint8 [3, H, W]."""

import math
import os
from collections.abc import Iterable, Sequence
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rectok.artifacts import DATA
from rectok.data.dataset import ImageDataset
from rectok.data.loader import image_batches
from rectok.data.parallel_map import THREADS, read_all

READ = 64
"""Images that are written to the file at once."""


class TensorImages(Dataset[Tensor]):
    """Images that are there already, uint8 [N, 3, H, W]."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Tensor:
        return self.images[position]


class Subsample(Dataset[Tensor]):
    """At most `limit` images of a split, evenly spaced; read when they are asked for."""

    def __init__(self, dataset: ImageDataset, limit: int) -> None:
        self.dataset = dataset
        self.positions = np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).round().astype(int)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: int) -> Tensor:
        return self.dataset.image(int(self.positions[position]))

    def __getitems__(self, positions: Sequence[int]) -> list[Tensor]:
        """Several images at once, which torch's DataLoader asks for, decoded in threads."""
        return read_all(self.__getitem__, positions, max(THREADS, self.dataset.threads))


def collected(count: int, parts: Iterable[Tensor]) -> Tensor:
    """`parts`, uint8 [B, 3, H, W], as [count, 3, H, W] in a nameless file, since 50 000 images of 256 pixels are 10 GB."""
    images, done = torch.empty(0), 0
    for part in parts:
        if not done:
            shape = (count, *part.shape[1:])
            size = math.prod(shape)
            DATA.mkdir(exist_ok=True)
            with NamedTemporaryFile(dir=DATA) as file:
                # A full disk is an error here, and not a bus error at the first write.
                os.posix_fallocate(file.fileno(), 0, size)
                images = torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(shape)
        images[done : done + len(part)] = part
        done += len(part)
    assert done == count
    return images


def stacked(dataset: ImageDataset, workers: int) -> Tensor:
    """All images of a split, uint8 [N, 3, H, W], in a file and not in memory, decoded by `workers` processes."""
    return collected(len(dataset), image_batches(dataset, READ, workers))
