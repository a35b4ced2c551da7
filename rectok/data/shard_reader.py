"""Packed images as tensors."""

import numpy as np
import torch
from torch import Tensor

from rectok.data.packing import PackedShard


class ShardReader(PackedShard):
    """Random access to one shard's images by row."""

    def image(self, row: int) -> Tensor:
        """uint8 [3, H, W], contiguous. Raises UserError with shard, row and key if the row does not decode."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels(row).transpose(2, 0, 1)))
