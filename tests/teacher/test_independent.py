"""The teachers' tokens against forward passes that were written elsewhere, with the same random weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig
from tests.teacher.networks import DINOV3, SIGLIP, VIT, config, network

DINOV2 = config("vit_large_patch14_dinov2", 56, **VIT, dynamic_img_size=True)
"""Four patches of 14 pixels a side, its position embedding made for 518 pixels, as in the preset."""
SIGLIP_HALF = SIGLIP.model_copy(update={"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def stirred(of: NetworkConfig) -> VisionNetwork:
    """With every weight random: timm starts biases, norms, registers and layer scales where mistakes stay unseen."""
    net = network(of, classes=0)
    draws = torch.Generator().manual_seed(1)
    for name, parameter in net.trunk.named_parameters():
        around = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        noise = torch.randn(parameter.shape, generator=draws)
        parameter.data = around + (0.05 if parameter.ndim > 1 else 0.3) * noise
    return net


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """Relative L2 ≤ 1e-4 in float32."""
    assert ours.shape == theirs.shape and ours.dtype == torch.float32
    assert (ours - theirs).double().norm() <= 1e-4 * theirs.double().norm()


def prepared(of: NetworkConfig) -> Tensor:
    """What the teacher's own processor makes of IMAGES: bicubic with antialiasing, then mean and std."""
    side = (of.image_size, of.image_size)
    resized = IMAGES if side == (64, 64) else F.interpolate(IMAGES, side, mode="bicubic", antialias=True)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (of.mean, of.std))
    return (resized - mean) / std


@pytest.mark.parametrize(
    ("of", "prefix"), [(DINOV3, 5), (DINOV2, 1), (SIGLIP_HALF, 0)], ids=lambda x: getattr(x, "name", "")
)
def test_tokens_are_timms_without_class_and_registers_after_the_final_norm(of: NetworkConfig, prefix: int) -> None:
    net = stirred(of)
    last: list[Tensor] = []
    net.trunk.blocks[-1].register_forward_hook(lambda module, inputs, output: last.append(output))
    features = net.trunk.forward_features(prepared(of))
    assert isinstance(net.trunk.norm, nn.LayerNorm)
    by_hand = F.layer_norm(last[0], (48,), net.trunk.norm.weight, net.trunk.norm.bias, net.trunk.norm.eps)
    assert_close(features, by_hand)
    tokens = net.tokens(IMAGES, 4)
    assert_close(tokens, features[:, prefix:])
    intermediate = net.trunk.forward_intermediates(
        prepared(of), indices=1, norm=True, intermediates_only=True, output_fmt="NLC"
    )
    assert_close(tokens, intermediate[-1])


def test_dinov3_is_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers", minversion="4.56")
    net = stirred(DINOV3)
    theirs = transformers.DINOv3ViTModel(
        transformers.DINOv3ViTConfig(
            hidden_size=48, intermediate_size=192, num_hidden_layers=5, num_attention_heads=4, num_register_tokens=4,
            image_size=64, patch_size=16, query_bias=False, value_bias=False,
        )
    ).eval()  # fmt: skip
    theirs.load_state_dict(dinov3_of_transformers(net.trunk.state_dict(), theirs.state_dict()))
    with torch.no_grad():
        hidden = theirs(prepared(DINOV3)).last_hidden_state
    assert_close(net.tokens(IMAGES, 4), hidden[:, 5:])


NAMES = {
    "cls_token": "embeddings.cls_token",
    "reg_token": "embeddings.register_tokens",
    "patch_embed.proj.": "embeddings.patch_embeddings.",
    "attn.proj.": "attention.o_proj.",
    "mlp.fc1.": "mlp.up_proj.",
    "mlp.fc2.": "mlp.down_proj.",
    "gamma_1": "layer_scale1.lambda1",
    "gamma_2": "layer_scale2.lambda1",
}


def dinov3_of_transformers(weights: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's weights under transformers' names; `theirs` tells how they call a block, and gives the unused mask token."""
    block = "model.layer." if any(name.startswith("model.layer.") for name in theirs) else "layer."
    found = {"embeddings.mask_token": theirs["embeddings.mask_token"]}
    for name, tensor in weights.items():
        for ours, their in NAMES.items():
            name = name.replace(ours, their)
        name = name.replace("blocks.", block)
        if name.endswith("attn.qkv.weight"):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                found[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            found[name] = tensor
    return found
