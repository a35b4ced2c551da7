"""Sets of images, as torch-fidelity wants them: data sets of uint8 [3, H, W]."""

import math
import os
from collections.abc import Iterable
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rectok.artifacts import DATA
from rectok.data.dataset import ImageDataset
from rectok.nn.overlap import Parts


class TensorImages(Dataset[Tensor]):
    """Images that are there already, uint8 [N, 3, H, W]."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    threads = 1

    def __len__(self) -> int:
        return len(self.images)

    def image(self, position: int) -> Tensor:
        """uint8 [3, H, W]."""
        return self.images[position]

    __getitem__ = image
    """For torch-fidelity, which reads a data set."""


class Subsample:
    """At most `limit` images of a split, evenly spaced; read when they are asked for."""

    def __init__(self, dataset: ImageDataset, limit: int) -> None:
        self.dataset, self.threads = dataset, dataset.threads
        self.positions = np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).round().astype(int)

    def __len__(self) -> int:
        return len(self.positions)

    def image(self, position: int) -> Tensor:
        """uint8 [3, H, W]."""
        return self.dataset.image(int(self.positions[position]))


def collected(count: int, batches: Iterable[Parts]) -> Parts:
    """`batches` of tensors [B, …] as tensors [count, …]; nothing where there are no batches.

    Images, uint8, lie in nameless files, since 50 000 of 256 pixels are 10 GB.
    """
    wholes: Parts = ()
    done = 0
    for parts in batches:
        size = len(parts[0])
        wholes = wholes or tuple(_empty((count, *part.shape[1:]), part.dtype) for part in parts)
        for whole, part in zip(wholes, parts, strict=True):
            whole[done : done + size] = part
        done += size
    assert done in (0, count)
    return wholes


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if dtype != torch.uint8:
        return torch.empty(shape, dtype=dtype)
    size = math.prod(shape)
    DATA.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=DATA) as file:
        # A full disk is an error here, and not a bus error at the first write.
        os.posix_fallocate(file.fileno(), 0, size)
        return torch.from_file(file.name, shared=True, size=size, dtype=dtype).view(shape)
