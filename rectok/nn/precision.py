"""The precision in which networks compute outside DeepSpeed's engines."""

import torch


def bfloat16_on_gpu(device: torch.device | str) -> torch.autocast:
    """A context in which networks compute in bfloat16 where `device` is a GPU, else in float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")


def precision_on(device: torch.device | str) -> str:
    """What `bfloat16_on_gpu` means on `device`, in words."""
    return "bfloat16" if torch.device(device).type == "cuda" else "float32"
