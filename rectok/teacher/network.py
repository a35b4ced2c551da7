"""A timm network behind one interface: per-token features, several layers, pooled features, logits."""

import difflib
from functools import lru_cache
from typing import Any, Self

import timm
import torch
from timm.layers import ClNormMlpClassifierHead, NormMlpClassifierHead, RotaryEmbeddingDinoV3
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.errors import UserError
from rectok.nn.gelu import faster_gelu
from rectok.nn.gpu_layout import PatchMap
from rectok.nn.resizing import resized
from rectok.teacher.network_config import NetworkConfig
from rectok.teacher.preprocessing import with_timms_values

POOLING_HEADS = (NormMlpClassifierHead, ClNormMlpClassifierHead, nn.Sequential)
"""Heads of timm that pool, and then normalise what has the width of a token."""
NO_MAP = (
    ", which are no square map of an image's patches; name another network, such as vit_small_patch16_dinov3.lvd1689m"
)
"""Ends a sentence on a network that cannot be a teacher."""
LAYERS = 4
"""How many layers `VisionNetwork.layers` gives, at most."""


class VisionNetwork(nn.Module):
    """The network that `config` names, with its preprocessing. Images are floats [B, 3, H, W] in [0, 1], of any size.

    `classes` is the number of logits (0: none); None keeps timm's own head. `pretrained` asks timm for its weights.
    Raises UserError for a name or an option that timm does not know, and for an `image_size` that the network refuses.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig, classes: int | None, pretrained: bool = False) -> None:
        super().__init__()
        self.trunk = _create(config, classes, pretrained)
        self.config = config = with_timms_values(config)
        _check_side(config, self.trunk)
        self.classes = int(self.trunk.num_classes)
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1), persistent=False)

    @property
    def width(self) -> int:
        """Channels of a token, D."""
        return int(self.trunk.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """The logits, [B, classes]."""
        return self.logits(images)

    def tokens(self, images: Tensor, grid: int) -> Tensor:
        """The last hidden state after the final norm, [B, grid², D], row by row.

        Class and register tokens are dropped; a feature map of another side is averaged or interpolated to `grid`.
        Raises UserError for a network without such a map.
        """
        features = self.trunk.forward_features(self._prepared(images))
        if not isinstance(features, Tensor) or features.ndim not in (3, 4):
            raise UserError(f"network {self.config.name} gives several kinds of features{NO_MAP}")
        return on_grid(self._map(_final_norm(self.trunk)(features)), grid)

    def layers(self, images: Tensor) -> list[Tensor]:
        """Feature maps [B, D_i, h_i, w_i] of up to four layers, evenly spaced from shallow to deep; differentiable."""
        depth = len(self.trunk.feature_info)
        count = min(LAYERS, depth)
        return self._maps(images, [(i + 1) * depth // count - 1 for i in range(count)])

    def last_layers(self, images: Tensor, count: int) -> list[Tensor]:
        """Feature maps [B, D, h, w] of the last `count` layers, before the final norm."""
        depth = len(self.trunk.feature_info)
        return self._maps(images, list(range(depth - count, depth)))

    def require_layers(self, count: int) -> None:
        """Raise UserError where the last `count` layers are not there, or have another width than the last one."""
        widths = [int(layer["num_chs"]) for layer in self.trunk.feature_info]
        name, alike = self.config.name, 0
        while alike < len(widths) and widths[-1 - alike] == self.width:
            alike += 1
        if count > alike:
            raise UserError(
                f"tokenizer.rae.layers is {count}, but only the last {alike} of the {len(widths)} layers of network {name} have "
                f"its width {self.width}"
            )

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """In one pass: what the classifier's last layer reads, [B, D'], and the logits [B, classes]."""
        features = self.trunk.forward_features(self._prepared(images))
        return self.trunk.forward_head(features, pre_logits=True), self.trunk.forward_head(features)

    def logits(self, images: Tensor) -> Tensor:
        """Class scores, [B, classes]."""
        if not self.classes:
            raise UserError(f"network {self.config.name} has no classifier, so it gives no class scores")
        scores: Tensor = self.trunk(self._prepared(images))
        return scores

    def frozen(self) -> Self:
        """This network in eval mode, its weights without gradients; gradients still reach the images."""
        return self.eval().requires_grad_(False)

    def on(self, device: torch.device | str) -> Self:
        """This network on `device`, the weights of its convolutions channels-last: kernels of GPUs and CPUs want them so."""
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def compile_blocks(self) -> None:
        """torch.compile every block of a frozen transformer in place; other networks stay as they are.

        The network must not move to another device afterwards.
        """
        for block in getattr(self.trunk, "blocks", ()):
            faster_gelu(block)
            block.compile()
        embed: Any = getattr(self.trunk, "patch_embed", None)
        if isinstance(convolution := getattr(embed, "proj", None), nn.Conv2d) and _is_patches(convolution):
            embed.proj = PatchMap(convolution)
        rope: Any = getattr(self.trunk, "rope", None)
        if isinstance(rope, RotaryEmbeddingDinoV3):  # makes its table on the host, for which the device would wait
            rope.get_embed = lru_cache(rope.get_embed)

    def _prepared(self, images: Tensor) -> Tensor:
        side = self.config.image_size
        if images.shape[-2:] != (side, side):
            images = resized(images, side)
        return (images - self.mean) / self.std

    def _maps(self, images: Tensor, indices: list[int]) -> list[Tensor]:
        maps: list[Tensor] = self.trunk.forward_intermediates(
            self._prepared(images), indices=indices, intermediates_only=True, output_fmt="NCHW"
        )
        return maps

    def _map(self, features: Tensor) -> Tensor:
        """Tokens [B, P + N, D] or a map, NCHW or NHWC → [B, D, h, w]. Raises UserError for anything else."""
        if features.ndim == 3:
            features = features[:, getattr(self.trunk, "num_prefix_tokens", 0) :]
            side = round(features.shape[1] ** 0.5)
            if side < 2 or side**2 != features.shape[1]:
                raise UserError(f"network {self.config.name} gives {features.shape[1]} tokens{NO_MAP}")
            return features.transpose(1, 2).reshape(len(features), -1, side, side)
        channels_last = getattr(self.trunk, "output_fmt", "NCHW") == "NHWC" or features.shape[1] != self.width
        return features.movedim(-1, 1) if channels_last else features


def on_grid(x: Tensor, grid: int) -> Tensor:
    """A map [B, D, h, w] → tokens [B, grid², D], row by row; one of another side is averaged or interpolated."""
    if x.shape[-2:] != (grid, grid):
        shrinks = min(x.shape[-2:]) >= grid
        x = F.adaptive_avg_pool2d(x, grid) if shrinks else F.interpolate(x, (grid, grid), mode="bilinear")
    return x.flatten(2).transpose(1, 2)


def _final_norm(trunk: Any) -> nn.Module:
    """The final norm where timm keeps it behind the pooling, so that `forward_features` does without it.

    ViTs, BEiT and EVA with average pooling call it `fc_norm`, and ConvNeXt, CAFormer and their kin keep it in their heads.
    Encoders of language models, such as Qwen's, have it behind their `encoder`.
    """
    if hasattr(trunk, "encoder") and isinstance(getattr(trunk, "norm", None), nn.Module):
        return trunk.norm  # type: ignore[no-any-return]
    if not isinstance(getattr(trunk, "norm", nn.Identity()), nn.Identity):
        return nn.Identity()
    head = getattr(trunk, "head", None)
    norm = getattr(head, "norm", None) if isinstance(head, POOLING_HEADS) else getattr(trunk, "fc_norm", None)
    return norm if isinstance(norm, nn.Module) else nn.Identity()


def _is_patches(convolution: nn.Conv2d) -> bool:
    side = (convolution.kernel_size[0],) * 2
    plain = convolution.padding == (0, 0) and convolution.dilation == (1, 1) and convolution.groups == 1
    return plain and convolution.stride == convolution.kernel_size == side


def _create(config: NetworkConfig, classes: int | None, pretrained: bool) -> Any:
    if not timm.is_model(config.name):
        nearest = difflib.get_close_matches(config.name.split(".")[0], timm.list_models(), n=1, cutoff=0.0)[0]
        raise UserError(f"timm has no network {config.name!r}; the nearest valid name is {nearest}")
    options: dict[str, Any] = dict(config.options)
    if classes is not None:
        options["num_classes"] = classes
    try:
        return timm.create_model(config.name, pretrained=pretrained, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"timm cannot build {config.name} with the options {dict(config.options)}: {error}") from None


def _check_side(config: NetworkConfig, trunk: Any) -> None:
    """Transformers of timm take one side, or with dynamic_img_size every multiple of their patch."""
    embed: Any = getattr(trunk, "patch_embed", None)
    if not hasattr(embed, "strict_img_size"):
        return
    side, built, patch = config.image_size, embed.img_size, embed.patch_size[0]
    if embed.strict_img_size and built is not None and built[0] != side:
        raise UserError(
            f"image_size of network {config.name} is {side}, but it is built for {built[0]}; "
            f"set image_size to {built[0]}, or options.img_size to {side}"
        )
    if side % patch:
        raise UserError(f"image_size {side} of network {config.name} is not a multiple of its patch side {patch}")
