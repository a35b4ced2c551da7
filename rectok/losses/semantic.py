"""Flow semantic distillation and reconstruction–alignment distillation (RecTok, section 3.2)."""

import torch
from torch import Tensor
from torch.nn import functional as F


def semantic_loss(
    student: Tensor, teacher: Tensor, loss: str, temperature: float, weight: Tensor | None = None
) -> Tensor:
    """Mean over tokens of the distance between student and teacher features [B, N, D].

    `cosine`: 1 − cosine · `l2`: mean squared error · `l1`: mean absolute error · `kl`: KL(teacher ‖ student) between
    softmaxes over channels at `temperature`, times temperature² so that its gradient keeps its size (arXiv 1503.02531).
    `weight` [B, N] picks the tokens; None takes all.
    """
    student, teacher = student.float(), teacher.float()
    if loss == "cosine":
        distance = 1 - F.cosine_similarity(student, teacher, dim=-1)
    elif loss == "l2":
        distance = (student - teacher).square().mean(-1)
    elif loss == "l1":
        distance = (student - teacher).abs().mean(-1)
    elif loss == "kl":
        ours = F.log_softmax(student / temperature, dim=-1)
        theirs = F.log_softmax(teacher / temperature, dim=-1)
        distance = temperature**2 * (theirs.exp() * (theirs - ours)).sum(-1)
    else:
        raise ValueError(f"unknown semantic loss {loss!r}")
    if weight is None:
        return distance.mean()
    return (distance * weight).sum() / weight.sum().clamp(min=1)


def token_weight(hidden: Tensor | None, target: str, like: Tensor) -> Tensor | None:
    """Which tokens count, floats [B, N], given the masked ones; None takes all. `like` [B, N, D] gives the shape."""
    if target == "all" or (hidden is None and target == "visible"):
        return None
    if hidden is None:
        return torch.zeros(like.shape[:2], device=like.device)
    return (hidden if target == "masked" else ~hidden).float()
