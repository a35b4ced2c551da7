"""Linear layers whose float32 products a CPU computes by oneDNN.

Torch takes MKL, which uses half of the vector width that AMD's processors have; oneDNN asks the processor and uses all of it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

AVAILABLE = torch.backends.mkldnn.is_available()


class Linear(nn.Linear):
    """nn.Linear, by oneDNN where a CPU computes it in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] → [..., out]."""
        if AVAILABLE and _plain(x, self.weight):
            return _Product.apply(x, self.weight, self.bias)  # type: ignore[no-any-return]
        return F.linear(x, self.weight, self.bias)


def _plain(x: Tensor, weight: Tensor) -> bool:
    """Whether this is float32 on a CPU, and no compiler or subclass of tensors looks on, which know torch's products alone."""
    here = x.is_cpu and type(x) is Tensor and not torch.compiler.is_compiling()
    return here and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows, inputs = gradient.flatten(0, -2), x.flatten(0, -2)
        return (
            _product(gradient, weight.t()) if of_x else None,
            _outer(rows, inputs) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _outer(gradient: Tensor, x: Tensor) -> Tensor:
    """gradientᵀ·x of [R, out] and [R, in] → [out, in]. oneDNN copies its first factor, which is therefore the narrower one."""
    if gradient.shape[1] > x.shape[1]:
        return _product(x.t(), gradient.t()).t()
    return _product(gradient.t(), x.t())


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·weightᵀ + bias: the operation that torch's compiler takes for a Linear on a CPU."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
