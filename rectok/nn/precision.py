"""The precision in which networks compute outside DeepSpeed's engines."""

import torch
from torch import nn

PRODUCTS = (nn.Linear, nn.Conv2d)
"""Layers that autocast computes in bfloat16."""


def bfloat16_on_gpu(device: torch.device | str) -> torch.autocast:
    """A context in which networks compute in bfloat16 where `device` is a GPU, else in float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")


def precision_on(device: torch.device | str) -> str:
    """What `bfloat16_on_gpu` means on `device`, in words."""
    return "bfloat16" if torch.device(device).type == "cuda" else "float32"


def bfloat16_products(network: nn.Module) -> None:
    """Keep the weights of a frozen network's products in bfloat16, which autocast would make of them in every pass.

    It changes no result under autocast. Norms, embeddings and tables stay in float32.
    """
    for module in network.modules():
        if isinstance(module, PRODUCTS):
            module.to(torch.bfloat16)
