"""AdamW with weight decay only where it belongs."""

import torch
from torch import nn

from rectok.train.config import TrainingConfig

NEVER_DECAYED = ("position", "mask_token", "label.weight")


def adamw(module: nn.Module, config: TrainingConfig, lr_per_256: float | None = None) -> torch.optim.AdamW:
    """AdamW at lr_per_256·batch/256; no decay on vectors (norms, biases), embeddings and tokens."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim <= 1 or name.endswith(NEVER_DECAYED)
            (plain if exempt else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    lr = (lr_per_256 or config.lr_per_256) * config.batch / 256
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=config.betas)
