"""A gated residual, RMSNorm and adaLN's modulation, whose backward pass on a GPU is one kernel.

torch.compile makes three or four of it: dx sums over channels, the gradients of gate, factor and shift sum over tokens.
The kernel reads everything once and does both. Shapes: B images, N tokens, W channels.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

SPLITS = 8
"""Parts of the tokens of one image, each a program of its own; their sums are added afterwards, in a fixed order."""
WARPS = {True: 4, False: 2}
"""Of one program, which holds a row of a token at a time, with a branch and without."""


@triton.jit  # type: ignore[untyped-decorator]
def _backward(  # type: ignore[no-untyped-def]  # pragma: no cover
    x_, branch_, gate_, factor_, rstd_, dy_, dout_, dx_, dbranch_, dgate_, dfactor_, dshift_,
    tokens, width, rows: tl.constexpr, block: tl.constexpr, gated: tl.constexpr,
):  # fmt: skip
    image, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel = tl.arange(0, block)
    inside = channel < width
    factor = tl.load(factor_ + image * width + channel, inside, 0.0).to(tl.float32)
    dfactor = tl.zeros([block], tl.float32)
    dshift = tl.zeros([block], tl.float32)
    if gated:
        gate = tl.load(gate_ + image * width + channel, inside, 0.0).to(tl.float32)
        dgate = tl.zeros([block], tl.float32)
    for token in range(part * rows, tl.minimum(part * rows + rows, tokens)):
        row = image * tokens + token
        at = row * width + channel
        x = tl.load(x_ + at, inside, 0.0).to(tl.float32)
        dy = tl.load(dy_ + at, inside, 0.0).to(tl.float32)
        dout = tl.load(dout_ + at, inside, 0.0).to(tl.float32)
        rstd = tl.load(rstd_ + row)
        if gated:
            branch = tl.load(branch_ + at, inside, 0.0).to(tl.float32)
            x += gate * branch
        normal = x * rstd
        scaled = dy * factor
        dx = rstd * (scaled - normal * (tl.sum(scaled * normal) / width)) + dout
        tl.store(dx_ + at, dx, inside)
        dfactor += dy * normal
        dshift += dy
        if gated:
            tl.store(dbranch_ + at, gate * dx, inside)
            dgate += dx * branch
    to = (image * tl.num_programs(1) + part) * width + channel
    tl.store(dfactor_ + to, dfactor, inside)
    tl.store(dshift_ + to, dshift, inside)
    if gated:
        tl.store(dgate_ + to, dgate, inside)


@torch.library.custom_op("rectok::residual_norm_backward", mutates_args=())
def residual_norm_backward(
    x: Tensor, branch: Tensor | None, gate: Tensor | None, factor: Tensor, rstd: Tensor, dy: Tensor, dout: Tensor
) -> list[Tensor]:
    """Gradients of x, of factor and shift [B, 1, W] and, with a branch, of branch and gate."""
    outputs: list[Tensor] = _outputs(x, branch, gate, factor, rstd, dy, dout)
    (images, tokens, width), gated = x.shape, branch is not None
    dx, dbranch = outputs[0], outputs[3] if branch is not None else None
    dfactor, dshift, dgate = (x.new_empty(images, SPLITS, width, dtype=torch.float32) for _ in range(3))
    inputs = (tensor if tensor is None else tensor.contiguous() for tensor in (x, branch, gate, factor, rstd, dy, dout))
    _backward[(images, SPLITS)](
        *inputs, dx, dbranch, dgate, dfactor, dshift,
        tokens, width, triton.cdiv(tokens, SPLITS), triton.next_power_of_2(width), gated, num_warps=WARPS[gated],
    )  # fmt: skip
    for output, sums in zip((outputs[1], outputs[2], *outputs[4:]), (dfactor, dshift, dgate), strict=False):
        torch.sum(sums, 1, keepdim=True, out=output)
    return outputs


@residual_norm_backward.register_fake
def _outputs(
    x: Tensor, branch: Tensor | None, gate: Tensor | None, factor: Tensor, rstd: Tensor, dy: Tensor, dout: Tensor
) -> list[Tensor]:
    row = (x.shape[0], 1, x.shape[2])
    outputs = [x.new_empty(x.shape), *(x.new_empty(row, dtype=torch.float32) for _ in range(2))]
    if branch is not None:
        outputs += [branch.new_empty(branch.shape), x.new_empty(row, dtype=torch.float32)]
    return outputs


class _ResidualNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, branch: Tensor | None, gate: Tensor | None, factor: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        out = x.clone() if branch is None or gate is None else (x + gate * branch).to(x.dtype)
        rstd = torch.rsqrt(out.float().pow(2).mean(dim=-1, keepdim=True) + eps)
        ctx.save_for_backward(x, branch, gate, factor, rstd)
        y = out.float() * rstd * factor + shift
        return out, y.to(torch.get_autocast_dtype("cuda")) if torch.is_autocast_enabled("cuda") else y

    @staticmethod
    def backward(ctx: Any, dout: Tensor, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, branch, gate, factor, rstd = ctx.saved_tensors
        dx, dfactor, dshift, *gated = residual_norm_backward(x, branch, gate, factor, rstd, dy, dout)
        dbranch, dgate = gated or (None, None)
        dgate = None if dgate is None else dgate.to(gate.dtype)
        return dx, dbranch, dgate, dfactor.to(factor.dtype), dshift, None


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # AOTAutograd traces both passes itself
def residual_norm(
    x: Tensor, branch: Tensor | None, gate: Tensor | None, factor: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """out = x + gate·branch, and out / rms(out) · factor + shift in the precision of products; rows [B, 1, W], else [B, N, W]."""
    return _ResidualNorm.apply(x, branch, gate, factor, shift, eps)  # type: ignore[no-any-return]
