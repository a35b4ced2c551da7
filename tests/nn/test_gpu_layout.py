"""What a GPU computes in its own layout is what a CPU computes in the plain one."""

import pytest
import torch

from rectok.nn.blocks import SwiGLU
from rectok.nn.gpu_layout import MULTIPLE, Patches, PatchMap, Pixels, padding
from rectok.nn.precision import bfloat16_products


@pytest.mark.parametrize(("hidden", "zeros"), [(5461, 43), (341, 43), (3072, 0), (2048, 0), (8, 0), (1, 127)])
def test_only_channels_that_fill_no_16_bytes_are_padded(hidden: int, zeros: int) -> None:
    assert padding(hidden) == zeros
    assert not zeros or (hidden + zeros) % MULTIPLE == 0


@pytest.mark.parametrize("width", [32, 24])  # 85 hidden channels, which are padded, and 64
def test_padded_swiglu_is_the_same_function_with_the_same_gradients(width: int) -> None:
    torch.manual_seed(0)
    mlp, x = SwiGLU(width), torch.randn(2, 3, width)
    gate, up = mlp.gate_up.padded(x)
    assert gate.shape[-1] == mlp.down.in_features + padding(mlp.down.in_features)
    ours = mlp.down(torch.nn.functional.silu(gate) * up)
    torch.testing.assert_close(ours, mlp(x))
    weight = torch.randn_like(ours)
    plain, padded = (torch.autograd.grad((y * weight).sum(), list(mlp.parameters())) for y in (mlp(x), ours))
    for expected, actual in zip(plain, padded, strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("side", [1, 4])
def test_patches_as_a_product_are_the_convolution(side: int) -> None:
    torch.manual_seed(0)
    patches, images = Patches(3, 7, side), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(patches.product(images), patches(images))
    assert patches(images).shape == (2, (8 // side) ** 2, 7)


def test_a_convolution_as_a_product_gives_the_same_map() -> None:
    torch.manual_seed(0)
    convolution, images = torch.nn.Conv2d(3, 7, 4, stride=4), torch.randn(2, 3, 8, 8)
    product = PatchMap(convolution)
    torch.testing.assert_close(product(images), convolution(images))
    assert list(product.state_dict()) == list(convolution.state_dict())


def test_pixels_as_a_product_are_the_convolution() -> None:
    torch.manual_seed(0)
    pixels, tokens = Pixels(5, 6), torch.randn(2, 3, 3, 5)
    torch.testing.assert_close(pixels.product(tokens), pixels(tokens))


def test_weights_in_bfloat16_change_nothing_under_autocast() -> None:
    torch.manual_seed(0)
    mlp, x = SwiGLU(32).requires_grad_(False), torch.randn(2, 3, 32)
    with torch.autocast("cpu", torch.bfloat16):
        before = mlp(x)
        bfloat16_products(mlp)
        assert torch.equal(mlp(x), before)
    assert {parameter.dtype for parameter in mlp.parameters()} == {torch.bfloat16}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_takes_the_padded_layout() -> None:
    torch.manual_seed(0)
    mlp, x = SwiGLU(32), torch.randn(2, 3, 32)
    torch.testing.assert_close(mlp.cuda()(x.cuda()).cpu(), mlp.cpu()(x), rtol=1e-4, atol=1e-5)
