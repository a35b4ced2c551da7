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

SMALL: dict[str, int | float | bool | str | tuple[int, ...]] = {"embed_dim": 48, "depth": 2, "num_heads": 4}
STAGES: dict[str, int | float | bool | str | tuple[int, ...]] = {"depths": (1, 1, 1, 1)}
NORM_BEHIND_POOLING = {
    "EVA-02": config("eva02_tiny_patch14_224", 56, **SMALL, img_size=56),
    "EVA": config("eva_giant_patch14_224", 56, **SMALL, img_size=56),
    "BEiT": config("beit_base_patch16_224", 64, **SMALL, img_size=64),
    "BEiT v2": config("beitv2_base_patch16_224", 64, **SMALL, img_size=64),
    "ViT with average pooling": config("vit_base_patch16_224", 64, **SMALL, img_size=64, global_pool="avg"),
    "ConvNeXt": config("convnext_tiny", 64, **STAGES, dims=(8, 16, 24, 32)),
    "ConvNeXt V2": config("convnextv2_tiny", 64, **STAGES, dims=(8, 16, 24, 32)),
    "DaViT": config("davit_tiny", 64, **STAGES, embed_dims=(16, 32, 64, 96), num_heads=(1, 2, 4, 6)),
    "Hiera": config("hiera_tiny_224", 64, embed_dim=24, num_heads=1, stages=(1, 1, 1, 1), img_size=(64, 64)),
}
"""Families that keep their final norm behind the pooling."""
NORM_BEFORE_POOLING = {
    "ViT": config("vit_base_patch16_224", 64, **SMALL, img_size=64),
    "DeiT": config("deit_tiny_distilled_patch16_224", 64, depth=2, img_size=64),
    "DeiT III": config("deit3_small_patch16_224", 64, **SMALL, img_size=64),
    "CLIP": config("vit_base_patch16_clip_224", 64, **SMALL, img_size=64),
    "SigLIP": SIGLIP,
    "SigLIP with average pooling": config("vit_base_patch16_siglip_gap_224", 64, **SMALL, img_size=64),
    "Perception Encoder": config("vit_pe_core_tiny_patch16_384", 64, **SMALL, img_size=64),
    "DINOv2": DINOV2,
    "DINOv3": DINOV3,
    "Swin": SWIN,
    "Swin V2": config(
        "swinv2_tiny_window8_256", 64, embed_dim=24, depths=(1, 1), num_heads=(1, 2), img_size=64, window_size=4
    ),
}
"""Families whose `forward_features` ends with the final norm."""


def network(config: NetworkConfig, classes: int = 10, seed: int = 0) -> VisionNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VisionNetwork(config, classes).frozen()
