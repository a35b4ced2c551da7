"""Packed images as tensors."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rectok.data.packing import PackedShard
from rectok.data.parallel_map import THREADS, map_in_threads

AT_ONCE = 8
"""Images that a thread decodes before it hands them over."""


class ShardReader(PackedShard):
    """Random access to one shard's images by row."""

    def image(self, row: int) -> Tensor:
        """uint8 [3, H, W], contiguous. Raises UserError with shard, row and key if the row does not decode."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels(row).transpose(2, 0, 1)))

    def batches(self, size: int) -> Iterator[Tensor]:
        """All images, as `image_batches` gives them."""
        return image_batches(self.image, range(len(self)), size, self.threads)


def image_batches(read: Callable[[int], Tensor], rows: Iterable[int], size: int, threads: int = 1) -> Iterator[Tensor]:
    """uint8 [b, 3, H, W] of every `size` rows, in order. Threads decode the next ones while the caller works on these.

    Raises as `read` does.
    """
    images = map_in_threads(read, rows, max(threads, THREADS), AT_ONCE)
    while batch := list(islice(images, size)):
        yield torch.stack(batch)
