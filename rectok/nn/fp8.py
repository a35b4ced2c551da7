"""Matrix products of 8-bit floats (e4m3), with one scale for every row of the input and of the weight, for frozen networks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.nn.blocks import AdaptiveBlock
from rectok.nn.gpu_layout import Down, GateUp, padding

FLOAT8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FLOAT8).max
"""448, to which the largest number of a row is scaled."""
ALIGNMENT = 16
"""The products take widths that are multiples of it."""
CAPABILITY = (9, 0)
"""Of the first GPUs whose products of 8-bit floats take one scale per row (Hopper)."""


def refusal(device: torch.device, width: int) -> str | None:
    """Why networks of `width` channels cannot compute in fp8 on `device`; None where they can."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < CAPABILITY:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"
        return f"fp8 needs a GPU of compute capability {CAPABILITY[0]}.0 or more, such as an H100, but this is {name}"
    if width % ALIGNMENT:
        return f"fp8 needs widths of DiT^DH that are multiples of {ALIGNMENT}, but one is {width}"
    return None


def quantised(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [R, K] → its 8-bit floats [R, K] and the factors [R, 1] that make x of them again."""
    scale = x.float().abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (x / scale).to(FLOAT8), scale


class Fp8Linear(nn.Module):
    """x·weightᵀ + bias with a weight that was quantised once; x is quantised as it comes, token by token."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        values, scale = quantised(weight.detach())
        self.register_buffer("weight", values, persistent=False)
        self.register_buffer("scale", scale.t().contiguous(), persistent=False)
        self.register_buffer("bias", bias.detach().to(torch.bfloat16), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] → [..., out] in bfloat16."""
        values, scale = quantised(x.flatten(0, -2))
        product = torch._scaled_mm(
            values,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.scale,
            bias=self.bias,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )
        return product.unflatten(0, x.shape[:-1])  # type: ignore[no-any-return]


class Fp8GateUp(nn.Module):
    """GateUp, both halves padded as on any GPU."""

    def __init__(self, linear: GateUp) -> None:
        super().__init__()
        zeros = padding(linear.out_features // 2)
        halves = zip(linear.weight.chunk(2), linear.bias.chunk(2), strict=True)
        self.gate, self.up = (Fp8Linear(F.pad(w, (0, 0, 0, zeros)), F.pad(b, (0, zeros))) for w, b in halves)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[..., W] → gate and up, each [..., hidden] with the padding's zeros behind."""
        return self.gate(x), self.up(x)


def fp8_products(blocks: nn.Module) -> None:
    """Let the products of every adaptive block in `blocks` compute in fp8; norms and attention stay as they are.

    The modulation of a block whose condition is one row per image takes no time, but it is quantised as that of others.
    """
    for block in blocks.modules():
        if isinstance(block, AdaptiveBlock):
            for parent in (block, block.attention, block.mlp):
                for name, child in parent.named_children():
                    if isinstance(child, nn.Linear):
                        setattr(parent, name, _fp8(child))


def _fp8(linear: nn.Linear) -> nn.Module:
    if isinstance(linear, GateUp):
        return Fp8GateUp(linear)
    zeros = padding(linear.in_features) if isinstance(linear, Down) else 0
    return Fp8Linear(F.pad(linear.weight, (0, zeros)), linear.bias)
