"""Small networks of the families that teachers and metric networks come from, with random weights."""

import torch

from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig

VIT: dict[str, int | float | bool | str | tuple[int, ...]] = {"embed_dim": 48, "depth": 5, "num_heads": 4}


def config(name: str, size: int, **options: int | float | bool | str | tuple[int, ...]) -> NetworkConfig:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return NetworkConfig(
        name=name, options=options, image_size=size, mean=mean, std=std, weights="", sha256="", licence="trained here"
    )


DINOV3 = config("vit_large_patch16_dinov3", 64, **VIT)
DINOV2 = config("vit_large_patch14_dinov2", 56, **VIT, img_size=56)
SIGLIP = config("vit_large_patch16_siglip_256", 64, **VIT, img_size=64)
SWIN = config("swin_tiny_patch4_window7_224", 64, embed_dim=24, depths=(1, 1), num_heads=(1, 2), img_size=64)
RESNET = config("resnet10t", 32, channels=(8, 16, 24, 32), output_stride=8)
REGNET = config("regnetx_002", 64)
FAMILIES = (DINOV3, DINOV2, SIGLIP, SWIN, RESNET, REGNET)


def network(config: NetworkConfig, classes: int = 10, seed: int = 0) -> VisionNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VisionNetwork(config, classes).frozen()
