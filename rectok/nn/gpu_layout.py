"""Layers that compute the same functions in the layouts that a GPU computes fastest.

On a CPU they are the plain layers, so that its results stay as they are. Each pads or reshapes its own weights, since ZeRO 3
gathers those of a layer only while that layer runs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.nn.cpu_products import Linear

MULTIPLE = 128
"""Hidden channels to which SwiGLU is padded: int(⅔·4·W) = 5461 fills no whole 16 bytes, which fast kernels load at once."""


def padding(hidden: int) -> int:
    """Zeros to append to `hidden` channels: none where they fill whole 16 bytes in bfloat16."""
    return -hidden % MULTIPLE if hidden % 8 else 0


class GateUp(Linear):
    """Two Linears whose weights are one tensor, each [W → hidden]."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """[..., W] → gate and up, each [..., hidden], on a GPU with the padding's zeros behind."""
        if x.is_cuda:
            return self.padded(x)
        gate, up = super().forward(x).chunk(2, dim=-1)
        return gate, up

    def padded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both as products of their own: the gradient of one product for both would have to be joined, a pass over memory."""
        hidden = self.out_features // 2
        zeros = padding(hidden)
        weights, biases = _cast(self.weight).split(hidden), _cast(self.bias).split(hidden)
        gate, up = (
            F.linear(x, F.pad(weight, (0, 0, 0, zeros)), F.pad(bias, (0, zeros)))
            for weight, bias in zip(weights, biases, strict=True)
        )
        return gate, up


class Down(Linear):
    """Reads `hidden` channels, and on a GPU the padding's zeros, whose weights and gradients are 0."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden or hidden + padding] → [..., W]."""
        extra = x.shape[-1] - self.in_features
        if not extra:
            return super().forward(x)
        return F.linear(x, F.pad(_cast(self.weight), (0, extra)), self.bias)


class Patches(nn.Conv2d):
    """A convolution whose stride is its side, so one matrix product: [B, C, H, H] → tokens [B, N, W]."""

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__(channels, width, side, stride=side)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, H] → [B, N, W], row by row."""
        return self.product(images) if images.is_cuda else super().forward(images).flatten(2).transpose(1, 2)

    def product(self, images: Tensor) -> Tensor:
        """The same as one matrix product."""
        return _patches_product(images, self).flatten(1, 2)


class PatchMap(nn.Module):
    """`convolution`, whose stride is its side, as Patches computes it, but with its own output: [B, C, H, H] → [B, W, h, h]."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.kernel_size = convolution.kernel_size
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, H] → [B, W, h, h]."""
        return _patches_product(images, self).permute(0, 3, 1, 2)


class Pixels(nn.Conv2d):
    """A 1×1 convolution of tokens on their grid: on a GPU the matrix product that it is."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__(width, channels, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens on their grid, [B, G, G, W], → [B, C, G, G]."""
        return self.product(tokens) if tokens.is_cuda else super().forward(tokens.permute(0, 3, 1, 2))

    def product(self, tokens: Tensor) -> Tensor:
        """The same as one matrix product."""
        return F.linear(tokens, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def _patches_product(images: Tensor, convolution: nn.Conv2d | PatchMap) -> Tensor:
    """[B, C, H, H] → [B, h, h, W]."""
    side = convolution.kernel_size[0]
    patches = images.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # [B, C, h, p, w, p]
    return F.linear(patches.permute(0, 2, 4, 1, 3, 5).flatten(3), convolution.weight.flatten(1), convolution.bias)


def _cast(weight: Tensor) -> Tensor:
    """In the precision that autocast computes in, so that padding copies half the bytes."""
    return weight.to(torch.get_autocast_dtype("cuda")) if torch.is_autocast_enabled("cuda") else weight
