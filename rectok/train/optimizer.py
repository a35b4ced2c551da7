"""AdamW with weight decay only where it belongs."""

from typing import Any

import torch
from torch import nn

from rectok.train.training_config import TrainingConfig

NEVER_DECAYED = ("position", "mask_token", "label.weight")
ALIGNMENT = 16
"""Bytes that compiled kernels read at once."""


def adamw(module: nn.Module, config: TrainingConfig, lr_per_256: float | None = None) -> torch.optim.AdamW:
    """AdamW at lr_per_256·batch/256; no decay on vectors (norms, biases), embeddings and tokens.

    ZeRO lays the parameters of a group end to end. One that does not fill whole 16 bytes gets a group of its own, so that
    all others stay aligned: code compiled for one block reads the weights of every other block.
    """
    together: dict[float, list[nn.Parameter]] = {config.weight_decay: [], 0.0: []}
    alone: list[dict[str, Any]] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim <= 1 or name.endswith(NEVER_DECAYED)
            decay = 0.0 if exempt else config.weight_decay
            if parameter.numel() * parameter.element_size() % ALIGNMENT:
                alone.append({"params": [parameter], "weight_decay": decay})
            else:
                together[decay].append(parameter)
    groups = [{"params": parameters, "weight_decay": decay} for decay, parameters in together.items() if parameters]
    lr = (lr_per_256 or config.lr_per_256) * config.batch / 256
    return torch.optim.AdamW([*groups, *alone], lr=lr, betas=config.betas)
