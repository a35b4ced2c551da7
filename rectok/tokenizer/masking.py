"""Random masking of tokens, as in MAE (arXiv 2111.06377): every sample keeps its own random subset of equal size."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rectok.tokenizer.tokenizer_config import MaskingConfig


@dataclass(frozen=True)
class Mask:
    """`visible` [B, n] are the kept positions in the order they are encoded; `restore` [B, N] undoes the shuffle."""

    visible: Tensor
    restore: Tensor

    @property
    def hidden(self) -> Tensor:
        """Boolean [B, N]: True where a token was masked."""
        return self.restore >= self.visible.shape[1]

    def gather(self, tokens: Tensor) -> Tensor:
        """[B, N, W] → the visible tokens [B, n, W]."""
        return tokens.gather(1, self.visible[..., None].expand(-1, -1, tokens.shape[-1]))

    def scatter(self, tokens: Tensor, filler: Tensor) -> Tensor:
        """Visible tokens [B, n, W] → [B, N, W] in place, with `filler` [1, 1, W] at masked positions."""
        batch, visible, width = tokens.shape
        missing = self.restore.shape[1] - visible
        full = torch.cat([tokens, filler.to(tokens.dtype).expand(batch, missing, width)], dim=1)
        return full.gather(1, self.restore[..., None].expand(-1, -1, width))


def random_mask(ranking: Tensor, ratio_draw: float, config: MaskingConfig) -> Mask | None:
    """Keep `visible_tokens` per sample; None when all are kept.

    `ranking` [B, N] holds random numbers whose order is each sample's permutation; `ratio_draw` ∈ [0, 1) is one per batch.
    """
    visible = visible_tokens(ranking.shape[1], ratio_draw, config)
    if visible == ranking.shape[1]:
        return None
    order = ranking.argsort(dim=1)
    return Mask(visible=order[:, :visible], restore=order.argsort(dim=1))


def visible_tokens(tokens: int, ratio_draw: float, config: MaskingConfig) -> int:
    """ceil(N·(1 − r)) with r = max(0, low + (high − low)·ratio_draw)."""
    ratio = max(0.0, config.low + (config.high - config.low) * ratio_draw)
    return math.ceil(tokens * (1 - ratio))
