"""Runs the GPU kernels in Triton's interpreter on a CPU and prints their largest errors against plain float64 code as JSON.

It is a program of its own, since Triton reads TRITON_INTERPRET when it is imported.
"""

import json
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.nn.residual_norm import residual_norm
from rectok.train.optimizer import ClippingAdamW
from rectok.train.working_weights import WorkingWeights

EPS = 1e-6


def plain_norm(
    x: Tensor, branch: Tensor | None, gate: Tensor | None, factor: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """What `residual_norm` computes."""
    out = x if branch is None or gate is None else x + gate * branch
    return out, F.rms_norm(out, (out.shape[-1],), None, EPS) * factor + shift


def norm_error(tokens: int, width: int, gated: bool, compiled: bool) -> float:
    """Largest difference of outputs and gradients."""
    torch.manual_seed(0)
    shapes = {"x": tokens, "branch": tokens, "gate": 1, "factor": 1, "shift": 1}
    draws: dict[str, Tensor | None] = {
        name: torch.randn(3, count, width, dtype=torch.float64) for name, count in shapes.items()
    }
    if not gated:
        draws |= {"branch": None, "gate": None}
    ups = torch.randn(2, 3, tokens, width, dtype=torch.float64)
    ours = torch.compile(residual_norm, backend="aot_eager", fullgraph=True) if compiled else residual_norm

    def results(dtype: torch.dtype) -> list[Tensor]:
        leaves = [None if d is None else d.to(dtype).requires_grad_(True) for d in draws.values()]
        outputs = plain_norm(*leaves) if dtype == torch.float64 else ours(*leaves, EPS)  # type: ignore[arg-type]
        total = sum((output * up.to(dtype)).sum() for output, up in zip(outputs, ups, strict=True))
        gradients = torch.autograd.grad(total, [leaf for leaf in leaves if leaf is not None])
        return [*outputs, *gradients]

    pairs = zip(results(torch.float32), results(torch.float64), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def step_errors() -> dict[str, float]:
    """Errors of weight, average and copy after five clipped steps, the third after the masters have rested."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(50, 60))
    plain = torch.nn.Parameter(weight.detach().double().clone())
    settings = {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}
    ours = ClippingAdamW([{"params": [weight]}], 1.0, **settings)
    theirs = torch.optim.AdamW([plain], **settings)  # type: ignore[arg-type]
    average, expected = weight.detach().clone(), plain.detach().clone()
    ours.weights = WorkingWeights([(weight, average)])
    for number in range(5):
        ours.weights.work(0.1)
        assert weight.dtype == torch.bfloat16
        weight.grad = torch.randn(50, 60).bfloat16()
        plain.grad = weight.grad.double()
        ours.step()
        assert weight.grad is None
        torch.nn.utils.clip_grad_norm_([plain], 1.0)
        theirs.step()
        expected.lerp_(plain.detach(), 0.1)
        if number == 2:
            ours.weights.rest()
            assert weight.dtype == torch.float32
    copy = weight.detach().float()
    ours.weights.rest()
    return {
        "weight": float((weight - plain).detach().abs().max()),
        "average": float((average - expected).abs().max()),
        "copy, relative": float(((copy - weight) / weight).detach().abs().max()),
    }


if __name__ == "__main__":
    cases = product((8, 10), (24, 40), (False, True), (False, True))
    print(json.dumps({"norm": max(norm_error(*case) for case in cases), **step_errors()}))
