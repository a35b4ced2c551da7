"""2-D rotary embeddings, in the two forms that published checkpoints need."""

import torch
from torch import Tensor, nn


def tokenizer_angles(head_width: int, grid: int) -> Tensor:
    """Angles [grid², head_width] of the tokenizer: rows in the first half of the channels, columns in the second.

    Frequencies fall geometrically from 7 to 7e-4 over head_width/4 values, written twice in a row, so the two channels
    of an adjacent pair carry DIFFERENT angles. It is not a pure rotation; published weights depend on it.
    """
    frequencies = 7.0 * torch.logspace(0, -4, head_width // 4)
    angles = 2 * torch.pi * torch.linspace(0, 1, grid)[:, None] * frequencies.repeat(2)
    return _over_grid(angles)


def dit_angles(head_width: int, grid: int) -> Tensor:
    """Angles [grid², head_width] of DiT^DH: 10000^(−2i/(d/2)) for each adjacent pair i, positions 0 … grid − 1."""
    half = head_width // 2
    frequencies = 1.0 / 10000.0 ** (torch.arange(0, half, 2)[: half // 2] / half)  # bit for bit the published table
    angles = torch.arange(grid)[:, None] * frequencies.repeat_interleave(2)
    return _over_grid(angles)


def _over_grid(angles: Tensor) -> Tensor:
    """[grid, d/2] angles of one coordinate → [grid², d]: row angles beside column angles, row-major."""
    grid, half = angles.shape
    rows = angles[:, None].expand(grid, grid, half)
    columns = angles[None].expand(grid, grid, half)
    return torch.cat([rows, columns], dim=-1).reshape(grid * grid, 2 * half)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x·cos + (−b, a)·sin over adjacent channel pairs (a, b); x [B, heads, N, d], tables broadcastable to it."""
    a, b = x[..., 0::2], x[..., 1::2]
    turned = torch.stack([-b, a], dim=-1).flatten(-2)
    return (x * cos + turned * sin).to(x.dtype)


class Rotary(nn.Module):
    """Holds the cosine and sine tables of `angles` [N, d] and serves those of the visible tokens."""

    cos: Tensor
    sin: Tensor

    def __init__(self, angles: Tensor) -> None:
        super().__init__()
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tables [1, 1, N, d], or [B, 1, n, d] for the token positions `visible` [B, n]."""
        if visible is None:
            return self.cos[None, None], self.sin[None, None]
        return self.cos[visible][:, None], self.sin[visible][:, None]
