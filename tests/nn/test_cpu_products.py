"""A CPU's products by oneDNN are those of nn.Linear, with the same gradients."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.nn.counting import Shapes
from rectok.nn.cpu_products import Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(24, 7), (7, 24), (16, 16)])  # the weight's gradient has two forms
@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4)])
def test_output_and_gradients_are_those_of_float64(
    inputs: int, outputs: int, shape: tuple[int, ...], bias: bool
) -> None:
    torch.manual_seed(0)
    layer, x = Linear(inputs, outputs, bias), torch.randn(*shape, inputs, requires_grad=True)
    gradient = torch.randn(*shape, outputs)
    leaves = [x, *layer.parameters()]
    ours = _with_gradients(layer(x), leaves, gradient)
    exact_leaves = [leaf.detach().double().requires_grad_() for leaf in leaves]
    exact = _with_gradients(F.linear(exact_leaves[0], *exact_leaves[1:]), exact_leaves, gradient.double())
    for actual, expected in zip(ours, exact, strict=True):
        torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-5)


def test_inputs_of_any_layout_are_taken() -> None:
    torch.manual_seed(0)
    layer, x = Linear(6, 4), torch.randn(3, 6, 5).transpose(1, 2)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_frozen_weights_get_no_gradient_and_hand_one_on() -> None:
    layer, x = Linear(4, 3).requires_grad_(False), torch.randn(2, 4, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 4))
    assert layer.weight.grad is None


def test_rows_are_the_same_in_larger_batches() -> None:
    torch.manual_seed(0)
    layer, x = Linear(128, 384), torch.randn(400, 128)
    with torch.no_grad():
        whole = layer(x)
        assert all(torch.equal(layer(x[:rows]), whole[:rows]) for rows in (16, 64, 256))


def test_other_precisions_are_torchs() -> None:
    torch.manual_seed(0)
    layer, plain, x = Linear(8, 4), nn.Linear(8, 4), torch.randn(3, 8)
    plain.load_state_dict(layer.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), plain(x))
    assert torch.equal(layer.double()(x.double()), plain.double()(x.double()))


def test_its_flops_are_counted() -> None:
    shapes = Shapes()
    layer = shapes.build(lambda: Linear(8, 4))
    assert shapes.forward(lambda: layer(torch.empty(3, 8))) == 2 * 3 * 8 * 4


def _with_gradients(y: Tensor, leaves: list[Tensor], gradient: Tensor) -> list[Tensor]:
    return [y.detach(), *torch.autograd.grad(y, leaves, gradient)]
