"""DINOv2 (arXiv 2304.07193) as torch-fidelity feeds it, with the released weights from a file and not by torch.hub's code."""

import math
from collections.abc import Mapping

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from rectok.evaluation.evaluation_config import DINOV2
from rectok.evaluation.inception import fetched_tensors
from rectok.nn.weights import assign_weights
from rectok.teacher.network_config import NetworkConfig

SIDE, PATCH = 224, 14
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OFFSET = 0.1
"""What DINOv2 adds to the grid before it divides by that of the table of positions."""
UNUSED = "mask_token"
"""The released file has it for training alone."""
WHERE = "the release of DINOv2 has it (dinov2_vitb14_pretrain.pth and its kin, Apache-2.0)"


class DINOv2(nn.Module):
    """The class token behind the final norm of `trunk`, a ViT of timm with patches of 14 for images of 224 pixels."""

    def __init__(self, trunk: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
        """`name` says in errors where `weights`, as released, come from. Raises UserError where they do not fit."""
        super().__init__()
        self.trunk = trunk
        tensors = {key: tensor for key, tensor in weights.items() if key != UNUSED}
        if "pos_embed" in tensors:
            tensors["pos_embed"] = resized_positions(tensors["pos_embed"], SIDE // PATCH)
        assign_weights(trunk, tensors, name)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1) * 255, persistent=False)

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images float [B, 3, H, W] in [0, 1] → features [B, D], and no class scores, [B, 0]."""
        levels = (images * 255).round()
        resized = interpolate_bilinear_2d_like_tensorflow1x(levels, size=(SIDE, SIDE), align_corners=False)
        features = self.trunk((resized - self.mean) / self.std)
        return features, features[:, :0]


def resized_positions(table: Tensor, grid: int) -> Tensor:
    """The table of positions [1, 1 + G², D] for `grid`² patches, as DINOv2 makes it: bicubic, by the scale (grid + 0.1)/G."""
    side = math.isqrt(table.shape[1] - 1)
    if side == grid:
        return table
    patches = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = (grid + OFFSET) / side
    resized = F.interpolate(patches, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([table[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)], 1)


def obtain_dinov2(config: NetworkConfig) -> DINOv2:
    """The network whose released weights `config.weights` names. Raises UserError where they are missing or others."""
    weights = fetched_tensors(config, WHERE)
    trunk = timm.create_model(DINOV2[config.name], img_size=SIDE, num_classes=0)
    return DINOv2(trunk, weights, config.weights)
