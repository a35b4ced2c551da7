"""Packed images as tensors."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from rectok import artifacts
from rectok.data.packing import PackedShard


def readable(shards: Iterable[str]) -> bool:
    """Whether all `shards` can be read here: each has its table, while its images may lie in a bucket."""
    return all(artifacts.shard_table(shard).exists() for shard in shards)


class ShardReader(PackedShard):
    """Random access to one shard's images by row."""

    def image(self, row: int) -> Tensor:
        """uint8 [3, H, W], contiguous. Raises UserError with shard, row and key if the row does not decode."""
        return torch.from_numpy(np.ascontiguousarray(self.pixels(row).transpose(2, 0, 1)))
