"""Antialiased resizing, as the two matrix products that it is: F.interpolate with antialiasing has a slow gradient."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resized(images: Tensor, side: int, mode: str = "bicubic") -> Tensor:
    """[B, 3, H, W] → float32 [B, 3, side, side], antialiased, as F.interpolate does it in `mode` (bicubic or bilinear)."""
    with torch.autocast(images.device.type, enabled=False):
        height, width = (_matrix(n, side, images.device, mode) for n in images.shape[-2:])
        return height @ images.float() @ width.T


def _matrix(n: int, side: int, device: torch.device, mode: str) -> Tensor:
    """The matrix [side, n] that resizes a column of n pixels."""
    columns = torch.eye(n, device=device)[None, None]
    return F.interpolate(columns, (side, n), mode=mode, antialias=True)[0, 0]
