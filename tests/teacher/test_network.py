import pytest
import torch
from torch.nn import functional as F

from rectok.errors import UserError
from rectok.nn.resizing import resized
from rectok.teacher.network_config import NetworkConfig
from tests.errors import user_error
from tests.teacher.networks import (
    DINOV2,
    DINOV3,
    FAMILIES,
    NORM_BEFORE_POOLING,
    NORM_BEHIND_POOLING,
    REGNET,
    RESNET,
    SIGLIP,
    SMALL,
    SWIN,
    VIT,
    config,
    network,
)  # fmt: skip

every_family = pytest.mark.parametrize("of", FAMILIES, ids=lambda c: c.name)
IMAGES = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(0))


@every_family
def test_shapes(of: NetworkConfig) -> None:
    net = network(of)
    assert net.tokens(IMAGES, 4).shape == (3, 16, net.width)
    assert net.tokens(IMAGES, 5).shape == (3, 25, net.width)
    assert net.tokens(IMAGES, 2).shape == (3, 4, net.width)
    assert net.logits(IMAGES).shape == (3, 10)
    assert net.features_and_logits(IMAGES)[0].ndim == 2
    assert all(layer.ndim == 4 and len(layer) == 3 for layer in net.layers(IMAGES))


@every_family
def test_logits_are_the_classifier_on_the_pooled_features(of: NetworkConfig) -> None:
    net = network(of)
    head = net.trunk.get_classifier()
    pooled, logits = net.features_and_logits(IMAGES)
    torch.testing.assert_close(head(pooled).flatten(1), net.logits(IMAGES))
    torch.testing.assert_close(logits, net.logits(IMAGES))


@every_family
def test_an_image_has_the_same_features_alone_and_in_a_batch(of: NetworkConfig) -> None:
    net = network(of)
    torch.testing.assert_close(net.tokens(IMAGES, 4)[1:2], net.tokens(IMAGES[1:2], 4), atol=1e-4, rtol=1e-4)


@every_family
def test_images_are_resized_and_normalised(of: NetworkConfig) -> None:
    net = network(of)
    side = of.image_size
    resized = F.interpolate(IMAGES, (side, side), mode="bicubic", antialias=True)
    torch.testing.assert_close(net.tokens(resized, 4), net.tokens(IMAGES, 4))
    normalised = (resized - torch.tensor(of.mean).view(3, 1, 1)) / torch.tensor(of.std).view(3, 1, 1)
    torch.testing.assert_close(net.trunk(normalised), net.logits(IMAGES))


@every_family
def test_frozen_weights_let_gradients_through_to_the_image(of: NetworkConfig) -> None:
    net = network(of)
    images = IMAGES.clone().requires_grad_()
    sum(layer.square().mean() for layer in net.layers(images)).backward()  # type: ignore[union-attr]
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(("of", "prefix"), [(DINOV3, 5), (DINOV2, 1), (SIGLIP, 0)])
def test_class_and_register_tokens_are_dropped_after_the_final_norm(of: NetworkConfig, prefix: int) -> None:
    net = network(of)
    hidden = net.trunk.forward_features(net._prepared(IMAGES))
    assert hidden.shape[1] == 16 + prefix
    tokens = net.tokens(IMAGES, 4)
    torch.testing.assert_close(tokens, hidden[:, prefix:])
    # The final LayerNorm of untrained weights leaves every token with mean 0 and variance 1.
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(3, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(-1, correction=0), torch.ones(3, 16), atol=1e-2, rtol=0)


EVERY_NORM = {
    **NORM_BEHIND_POOLING,
    **NORM_BEFORE_POOLING,
    "Qwen3, whose norm behind the pooling has no weights": config("qwen3_vit_88m", 64, **SMALL, img_size=64),
    "CAFormer, which has one size": config("caformer_s18", 64),
}


@pytest.mark.parametrize("family", EVERY_NORM)
def test_tokens_of_every_family_are_normalised(family: str) -> None:
    """A final LayerNorm of untrained weights leaves every token with mean 0 and variance 1."""
    net = network(EVERY_NORM[family], classes=0)
    # On another grid tokens are averaged, which makes them shorter.
    side = net._map(net.trunk.forward_features(net._prepared(IMAGES))).shape[-1]
    tokens = net.tokens(IMAGES, side)
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(3, side**2), atol=1e-4, rtol=0)
    torch.testing.assert_close(tokens.var(-1, correction=0), torch.ones(3, side**2), atol=0.05, rtol=0)


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("family", NORM_BEHIND_POOLING)
def test_the_norm_behind_the_pooling_is_that_of_the_tokens(family: str, classes: int) -> None:
    """Its weights are random here. The last hidden state is what `forward_features` gives."""
    net = network(NORM_BEHIND_POOLING[family], classes)
    names = ("fc_norm", "head.norm")
    [norm] = [module for name, module in net.trunk.named_modules() if name in names and hasattr(module, "eps")]
    draws = torch.Generator().manual_seed(1)
    norm.weight.data = 1 + 0.3 * torch.randn(norm.weight.shape, generator=draws)
    norm.bias.data = 0.3 * torch.randn(norm.bias.shape, generator=draws)
    hidden = net._map(net.trunk.forward_features(net._prepared(IMAGES))).flatten(2).transpose(1, 2)
    by_hand = F.layer_norm(hidden, (net.width,), norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(net.tokens(IMAGES, round(hidden.shape[1] ** 0.5)), by_hand)


@pytest.mark.parametrize(
    "name,side,features", [("crossvit_9_240", 240, "several kinds of features"), ("pit_ti_224", 224, "1 tokens")]
)
def test_a_network_without_a_map_of_patches_is_no_teacher(name: str, side: int, features: str) -> None:
    with pytest.raises(
        UserError, match=rf"^network {name} gives {features}, which are no square map .* another network"
    ):
        network(config(name, side)).tokens(IMAGES[:1], 4)


@pytest.mark.parametrize("of", [RESNET, SWIN], ids=["NCHW", "NHWC"])
def test_tokens_run_row_by_row(of: NetworkConfig) -> None:
    net = network(of)
    features = net.trunk.forward_features(net._prepared(IMAGES))
    features = features if of is RESNET else features.permute(0, 3, 1, 2)
    side = features.shape[-1]
    tokens = net.tokens(IMAGES, side)
    torch.testing.assert_close(tokens[:, side + 2], features[:, :, 1, 2])


def test_a_finer_map_is_averaged() -> None:
    net = network(RESNET)
    fine = net.tokens(IMAGES, 4).transpose(1, 2).unflatten(2, (4, 4))
    coarse = net.tokens(IMAGES, 2).transpose(1, 2).unflatten(2, (2, 2))
    torch.testing.assert_close(coarse, F.avg_pool2d(fine, 2))


def test_layers_span_the_depth() -> None:
    net = network(DINOV3)
    outputs = []
    for block in net.trunk.blocks:
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    layers = net.layers(IMAGES)
    for layer, block in zip(layers, (0, 1, 2, 4), strict=True):
        torch.testing.assert_close(layer.flatten(2).transpose(1, 2), outputs[block][:, 5:])


def test_a_network_without_classifier_has_no_logits() -> None:
    net = network(REGNET, classes=0)
    assert net.classes == 0
    with user_error("regnetx_002 has no classifier"):
        net.logits(IMAGES)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (config("resnet10", 32), "no network 'resnet10'; the nearest valid name is resnet10t"),
        (config("resnet10t", 32, colour=3), "cannot build resnet10t with the options .*colour"),
        (config("vit_large_patch14_dinov2", 224, **VIT), "image_size .* is 224, but it is built for 518"),
        (config("vit_large_patch16_dinov3", 60, **VIT), "image_size 60 .* not a multiple of its patch side 16"),
    ],
    ids=["name", "option", "side", "patch"],
)
def test_mistakes_are_named(of: NetworkConfig, message: str) -> None:
    with user_error(message):
        network(of)


@pytest.mark.parametrize("side,wanted", [(8, 20), (20, 8)])
def test_images_are_resized_as_torch_does_it_with_its_gradient(side: int, wanted: int) -> None:
    images = torch.rand(2, 3, side, side, dtype=torch.float32, requires_grad=True)
    theirs = F.interpolate(images, (wanted, wanted), mode="bicubic", antialias=True)
    ours = resized(images, wanted)
    torch.testing.assert_close(ours, theirs)
    weight = torch.rand_like(theirs)
    expected, found = (torch.autograd.grad((x * weight).sum(), images)[0] for x in (theirs, ours))
    torch.testing.assert_close(found, expected)
