"""Time, label and position embeddings of DiT^DH."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TimeEmbedding(nn.Module):
    """Fixed Gaussian Fourier features of τ, then a two-layer MLP."""

    frequencies: Tensor

    def __init__(self, width: int, count: int = 256) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(count))
        self.hidden = nn.Linear(2 * count, width)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.hidden.weight, std=0.02)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, time: Tensor) -> Tensor:
        """time [B] in [0, 1] → [B, W]."""
        angles = 2 * torch.pi * time.float()[:, None] * self.frequencies.float()
        features = torch.cat([angles.sin(), angles.cos()], dim=-1).to(self.hidden.weight.dtype)
        return self.out(F.silu(self.hidden(features)))  # type: ignore[no-any-return]


class LabelEmbedding(nn.Embedding):
    """One row per class and a last one that means "no label"."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__(classes + 1, width)
        nn.init.normal_(self.weight, std=0.02)


def sincos_positions(width: int, grid: int) -> Tensor:
    """Fixed 2-D sin-cos embedding [1, grid², width]: columns in the first half of the channels, rows in the second."""
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=-1)  # [grid, width/2]
    columns = line[None].expand(grid, grid, -1)
    rows = line[:, None].expand(grid, grid, -1)
    return torch.cat([columns, rows], dim=-1).reshape(1, grid * grid, width).float()
