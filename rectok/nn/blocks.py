"""Attention, SwiGLU and the two pre-norm blocks that every network here is made of."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from rectok.nn.cpu_products import Linear
from rectok.nn.gpu_layout import Down, GateUp
from rectok.nn.rotary import rotate

NORM_EPS = 1e-6
Tables = tuple[Tensor, Tensor]


class Norm(nn.RMSNorm):
    """RMSNorm with the published epsilon, its weight in the precision of x: torch has one kernel only where they agree."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., W] → [..., W]."""
        assert self.weight is not None
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class AdaptiveNorm(Norm):
    """The Norm of a residual stream, shifted and scaled by a condition (adaLN)."""

    def forward(  # type: ignore[override]
        self, x: Tensor, shift: Tensor, scale: Tensor, branch: Tensor | None = None, gate: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x [B, N, W] → x + gate·branch, and its norm, scaled and shifted by [B, 1 or N, W]."""
        assert self.weight is not None
        if x.is_cuda and torch.is_grad_enabled() and scale.shape[1] == 1:
            from rectok.nn.residual_norm import residual_norm  # needs Triton, half a second of import

            return residual_norm(x, branch, gate, self.weight * (1 + scale), shift, NORM_EPS)  # type: ignore[no-any-return]
        out = x if branch is None or gate is None else x + gate * branch
        return out, modulate(super().forward(out), shift, scale)


class Attention(nn.Module):
    """Multi-head self-attention with rotary queries and keys; no qk-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def forward(self, x: Tensor, tables: Tables) -> Tensor:
        """x [B, N, W] → [B, N, W]."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, N, d]
        q, k = rotate(q, *tables), rotate(k, *tables)
        with _backends(q, masked=len(tables[0]) > 1):
            mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))  # type: ignore[no-any-return]


def _backends(q: Tensor, masked: bool) -> AbstractContextManager[None]:
    """The attention kernels to choose from; torch prefers cuDNN's on Hopper cards.

    cuDNN's plan anew for every number of tokens, on the host, for longer than a step computes, and masking changes that number.
    """
    if q.is_cuda and masked:
        return sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    return nullcontext()


class SwiGLU(nn.Module):
    """down(silu(gate)·up) with int(⅔·4·width) hidden channels (arXiv 2002.05202); gate and up are one Linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = int(2 / 3 * 4 * width)
        self.gate_up = GateUp(width, 2 * hidden)
        self.down = Down(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., W] → [..., W]."""
        gate, up = self.gate_up(x)
        return self.down(F.silu(gate) * up)  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + Attention(norm x), then x + SwiGLU(norm x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = Norm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = Norm(width)
        self.mlp = SwiGLU(width)

    def forward(self, x: Tensor, tables: Tables) -> Tensor:
        """x [B, N, W] → [B, N, W]."""
        x = x + self.attention(self.attention_norm(x), tables)
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


class MlpBlock(nn.Module):
    """The Block without attention: each token on its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp_norm = Norm(width)
        self.mlp = SwiGLU(width)

    def forward(self, x: Tensor, tables: Tables) -> Tensor:
        """x [B, N, W] → [B, N, W]."""
        return x + self.mlp(self.mlp_norm(x))  # type: ignore[no-any-return]


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x·(1 + scale) + shift; the condition is per image [B, 1, W] or per token [B, N, W]."""
    return x * (1 + scale) + shift


class AdaptiveBlock(nn.Module):
    """A Block whose norms are shifted, scaled and gated by a condition (adaLN-Zero, DiT, arXiv 2212.09748)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = AdaptiveNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = AdaptiveNorm(width)
        self.mlp = SwiGLU(width)
        self.modulation = Linear(width, 6 * width)

    def forward(self, x: Tensor, condition: Tensor, tables: Tables) -> Tensor:
        """x [B, N, W] and condition [B, 1 or N, W] → [B, N, W]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(F.silu(condition)).chunk(6, dim=-1)
        x, normal = self.attention_norm(x, shift1, scale1)
        x, normal = self.mlp_norm(x, shift2, scale2, self.attention(normal, tables), gate1)
        return x + gate2 * self.mlp(normal)  # type: ignore[no-any-return]


def compile_blocks(module: nn.Module) -> None:
    """torch.compile every transformer block in place, so that the number of tokens of masked images is a variable.

    A deep copy of a compiled Block would still compute with the weights of the original.
    """
    for part in module.modules():
        if isinstance(part, AdaptiveBlock):
            part.compile(dynamic=False)
        elif isinstance(part, Block):
            part.forward = _for_any_length(torch.compile(part.forward))  # type: ignore[method-assign, assignment]


def _for_any_length(forward: Callable[[Tensor, Tables], Tensor]) -> Callable[[Tensor, Tables], Tensor]:
    from torch._dynamo import maybe_mark_dynamic  # seconds of import, which only compilation needs

    def marked(x: Tensor, tables: Tables) -> Tensor:
        if len(tables[0]) > 1:  # masked: each image has tables of its own
            for tensor, tokens in zip((x, *tables), (1, 2, 2), strict=True):
                maybe_mark_dynamic(tensor, tokens)
        return forward(x, tables)

    return marked
