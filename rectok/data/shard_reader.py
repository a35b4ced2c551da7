"""Packed images as tensors."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rectok.data.packing import PackedShard
from rectok.data.parallel_map import read_all


class ShardReader(PackedShard):
    """Random access to one shard's images by row."""

    def image(self, row: int) -> Tensor:
        """uint8 [3, H, W], contiguous. Raises UserError with shard, row and key if the row does not decode."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels(row).transpose(2, 0, 1)))

    def images(self, rows: Sequence[int]) -> Tensor:
        """uint8 [b, 3, H, W], read concurrently if the shard lies in an object store. Raises as `image` does."""
        return torch.stack(read_all(self.image, rows, self.threads))
