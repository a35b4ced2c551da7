"""GELU in fewer instructions is GELU."""

import timm
import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.nn.gelu import Gelu, faster_gelu, gelu, value_and_slope


def bfloat16_numbers() -> Tensor:
    """Every finite number of bfloat16 up to 50."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    return every[every.isfinite() & (every.abs() < 50)]


def test_value_and_derivative_are_those_of_gelu() -> None:
    x = bfloat16_numbers().double().requires_grad_()
    exact = F.gelu(x)
    (slope,) = torch.autograd.grad(exact.sum(), x)
    for ours, theirs in zip(value_and_slope(x.detach().float()), (exact.detach(), slope), strict=True):
        error = (ours.double() - theirs).abs()
        assert error.max() < 1e-6
        assert (error / theirs.abs())[theirs.abs() > 1e-4].max() < 2e-3


def test_in_bfloat16_it_is_no_farther_from_the_exact_value_than_torch() -> None:
    x = bfloat16_numbers().requires_grad_()
    exact = F.gelu(x.detach().double())
    ours = gelu(x)
    assert (ours.double() - exact).abs().max() <= (F.gelu(x).double() - exact).abs().max()
    (gradient,) = torch.autograd.grad(ours.float().sum(), x)
    (theirs,) = torch.autograd.grad(F.gelu(x.double()).sum(), x)
    assert (gradient - theirs).abs().max() < 2**-7


def test_networks_to_be_compiled_get_it_and_compute_the_same_without() -> None:
    torch.manual_seed(0)
    block = timm.create_model("vit_tiny_patch16_224", depth=1).eval().blocks[0]
    x = torch.randn(1, 4, 192)
    before = block(x)
    faster_gelu(block)
    assert sum(isinstance(module, Gelu) for module in block.modules()) == 1
    assert torch.equal(block(x), before)
