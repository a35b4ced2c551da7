"""Products in 8-bit floats, which torch computes on a CPU, too."""

import pytest
import torch

from rectok.nn.blocks import AdaptiveBlock
from rectok.nn.fp8 import Fp8GateUp, Fp8Linear, fp8_products, quantised, refusal
from rectok.nn.rotary import Rotary, dit_angles

CPU = torch.device("cpu")


def test_every_row_keeps_its_largest_number_and_three_bits_of_the_others() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 64) * torch.tensor([1e-3, 1.0, 10.0, 1e4, 0.0])[:, None]
    values, scale = quantised(x)
    again = values.float() * scale
    largest = x.abs().amax(1, keepdim=True)
    torch.testing.assert_close(again.abs().amax(1, keepdim=True), largest)
    assert bool(((again - x).abs() <= x.abs() / 16 + largest * 2**-18).all())  # half a step; below 2**-6 steps are even


def test_a_linear_layer_differs_by_the_rounding_of_both_its_factors() -> None:
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(64, 32), torch.randn(2, 7, 64)
    ours, exact = Fp8Linear(linear.weight, linear.bias)(x), linear(x).detach()
    assert ours.shape == exact.shape and ours.dtype == torch.bfloat16
    (rows, row_scales), (columns, column_scales) = quantised(x.flatten(0, 1)), quantised(linear.weight.detach())
    rounded = (rows.float() * row_scales) @ (
        columns.float() * column_scales
    ).t() + linear.bias.detach().bfloat16().float()
    torch.testing.assert_close(ours.float().flatten(0, 1), rounded, atol=2**-7, rtol=2**-7)
    assert 0 < float((ours - exact).norm() / exact.norm()) < 0.06


@pytest.mark.parametrize("width", [32, 80])  # 80: 213 hidden channels, which are padded
def test_the_products_of_a_block_are_replaced_and_compute_the_same_function(width: int) -> None:
    torch.manual_seed(0)
    block = AdaptiveBlock(width, 2).requires_grad_(False)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    inputs = torch.randn(2, 16, width), torch.randn(2, 1, width)
    tables = Rotary(dit_angles(block.attention_norm.normalized_shape[0] // 2, 4))()
    exact = block(*inputs, tables)
    fp8_products(block)
    assert isinstance(block.mlp.gate_up, Fp8GateUp) and isinstance(block.attention.qkv, Fp8Linear)
    branch = exact - inputs[0]
    assert 0 < float((block(*inputs, tables) - exact).norm() / branch.norm()) < 0.15


def test_what_cannot_compute_in_fp8_is_said() -> None:
    assert refusal(CPU, 64) == "fp8 needs a GPU of compute capability 9.0 or more, such as an H100, but this is a CPU"
