"""Kullback–Leibler divergence of the posterior from N(0, 1)."""

import torch
from torch import Tensor


def kl_divergence(moments: Tensor) -> Tensor:
    """½·Σ(mean² + var − 1 − logvar) over tokens and channels: moments [B, N, 2C] → [B], in nats."""
    mean, logvar = moments.float().chunk(2, dim=-1)
    logvar = logvar.clamp(-30.0, 20.0)
    # Thousands of terms: a float32 sum would depend on their order in its last digit.
    return (0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(dim=(1, 2), dtype=torch.float64)).float()
