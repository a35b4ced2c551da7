"""Weight initialisation shared by the models."""

from torch import nn


def init_linear(module: nn.Module) -> None:
    """Truncated normal (std 0.02) weights and zero biases, for Linear and convolution layers; use with Module.apply."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
