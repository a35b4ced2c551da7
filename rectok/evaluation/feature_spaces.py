"""Networks in whose features sets of images are compared, beside the metric network: Inception, DINOv2, any network of timm."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rectok.evaluation.dinov2 import DINOv2, obtain_dinov2
from rectok.evaluation.evaluation_config import DINOV2, INCEPTION
from rectok.evaluation.inception import Inception, obtain_inception
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig
from rectok.teacher.sources import obtain

KEY = "generation.spaces"
SpaceNetwork = Inception | DINOv2 | VisionNetwork


class FeatureSpaces(nn.Module):
    """Several networks, each with a name, that see the same images."""

    def __init__(self, networks: Sequence[SpaceNetwork], names: Sequence[str]) -> None:
        super().__init__()
        self.networks, self.names = tuple(networks), tuple(names)
        self.registered = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images float [B, 3, H, W] in [0, 1] → the features of each network, float64 [B, D_i]."""
        return tuple(network.features_and_logits(images)[0].double() for network in self.networks)


def load_spaces(configs: Sequence[NetworkConfig], device: torch.device | str) -> FeatureSpaces:
    """The networks of `generation.spaces`, frozen. Raises UserError where weights are missing, or not those of the sha256."""
    networks = [_load(place, config) for place, config in enumerate(configs)]
    return FeatureSpaces(networks, [config.name for config in configs]).to(device).eval().requires_grad_(False)


def _load(place: int, config: NetworkConfig) -> SpaceNetwork:
    key = f"{KEY}.{place}"
    with tempfile.TemporaryDirectory() as folder:
        if config.name == INCEPTION:
            return obtain_inception(config, Path(folder), key)
        if config.name in DINOV2:
            return obtain_dinov2(config)
        return obtain(config, Path(folder))
