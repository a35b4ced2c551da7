"""The precision of passes without a gradient."""

import torch


def inference_precision(device: torch.device | str) -> torch.autocast:
    """A context in which networks compute in bfloat16 where `device` is a GPU, as they were trained, else in float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")
