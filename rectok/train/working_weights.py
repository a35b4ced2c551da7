"""Products with bfloat16 copies of float32 weights, and one pass over all that a step changes of a weight.

Autocast would make the same copies in every pass, gradients would be copied back to float32, and optimizer and average would
each read the weights again. Under autocast both compute the same function.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

BLOCK = 2048


@triton.jit  # type: ignore[untyped-decorator]
def _step(  # type: ignore[no-untyped-def]  # pragma: no cover
    master_, copy_, gradient_, first_, second_, average_, scale_,
    size, shrink, beta1, beta2, rate, root, eps, forget, block: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < size
    gradient = tl.load(gradient_ + at, inside).to(tl.float32) / tl.load(scale_)
    first = tl.load(first_ + at, inside)
    first += (1 - beta1) * (gradient - first)
    second = beta2 * tl.load(second_ + at, inside) + (1 - beta2) * gradient * gradient
    weight = tl.load(master_ + at, inside) * shrink
    weight -= rate * first / (tl.sqrt(second) / root + eps)
    average = tl.load(average_ + at, inside)
    average += forget * (weight - average)
    tl.store(first_ + at, first, inside)
    tl.store(second_ + at, second, inside)
    tl.store(master_ + at, weight, inside)
    tl.store(copy_ + at, weight.to(tl.bfloat16), inside)
    tl.store(average_ + at, average, inside)


@dataclass(frozen=True)
class Weight:
    """A parameter, its float32 values and their average, and where its bfloat16 copy lies in all steps."""

    parameter: nn.Parameter
    master: Tensor
    average: Tensor
    copy: Tensor


class WorkingWeights:
    """Parameters that hold bfloat16 copies between `work` and `rest`, and their float32 masters otherwise.

    So masters are what a checkpoint saves and restores, and what is validated and kept at the end.
    """

    def __init__(self, pairs: Iterable[tuple[nn.Parameter, Tensor]]) -> None:
        self.weights = {
            parameter: Weight(parameter, parameter.data, average, parameter.data.to(torch.bfloat16))
            for parameter, average in pairs
        }
        self.working = False
        self.forget = 0.0

    def work(self, forget: float) -> None:
        """Hold the copies; the next step moves the averages by `forget` of the way to the weights."""
        self.forget = forget
        if not self.working:
            for weight in self.weights.values():
                weight.parameter.data = weight.copy.copy_(weight.master)
        self.working = True

    def rest(self) -> None:
        """Hold the masters again. There must be no gradients."""
        if self.working:
            for weight in self.weights.values():
                weight.parameter.data = weight.master
        self.working = False

    @torch.no_grad()
    def step(
        self, parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any], scale: Tensor, count: int
    ) -> None:
        """Step `count` of AdamW (arXiv 1711.05101) on the gradient over `scale`, with average and copy; drops the gradient."""
        weight, (beta1, beta2), lr = self.weights[parameter], group["betas"], group["lr"]
        assert parameter.grad is not None
        _step[(triton.cdiv(weight.master.numel(), BLOCK),)](
            weight.master, parameter.data, parameter.grad.contiguous(), state["exp_avg"], state["exp_avg_sq"],
            weight.average, scale, weight.master.numel(), 1 - lr * group["weight_decay"], beta1, beta2, lr / (1 - beta1**count),
            (1 - beta2**count) ** 0.5, group["eps"], self.forget, BLOCK, num_warps=4,
        )  # fmt: skip
        parameter.grad = None
