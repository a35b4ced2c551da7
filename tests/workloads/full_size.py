"""The sizes of the paper at 256 pixels, on top of the digits preset."""

from typing import Any

from rectok.params import Params, parse, preset_text
from rectok.params.editing import changed

VIT = {"width": 768, "depth": 12, "heads": 12}
DIT_HEAD = {"width": 2048, "depth": 2, "heads": 16}
FILE = {"path": "weights.safetensors", "sha256": "0" * 64}
PERCEPTUAL = {"weight": 1.0, "lpips": 1.0, "logits": 0.1, "vgg": FILE, "lpips_heads": FILE, "convnext": FILE}
DINOV3 = {
    "name": "vit_large_patch16_dinov3", "options": {}, "image_size": 256, "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225], "weights": "timm", "sha256": "", "licence": "DINOv3 License",
}  # fmt: skip
FULL: dict[str, Any] = {
    "preset": "full",
    "image.size": 256,
    "image.flip": True,
    "teacher.network": DINOV3,
    "tokenizer.sizes.patch": 16,
    "tokenizer.sizes.channels": 128,
    "tokenizer.sizes.encoder": VIT,
    "tokenizer.sizes.decoder": VIT,
    "tokenizer.sizes.semantic.transformer": {"width": 192, "depth": 3, "heads": 4},
    "tokenizer.losses.perceptual": PERCEPTUAL,
    "decoder.losses.perceptual": PERCEPTUAL,
    "dit.sizes": {"encoder": {"width": 1152, "depth": 28, "heads": 16}, "head": DIT_HEAD},
    "autoguidance.sizes": {"encoder": {"width": 384, "depth": 12, "heads": 6}, "head": DIT_HEAD},
    "dit.training.precision": "bfloat16",
}


def full_size() -> Params:
    return changed(parse(preset_text("digits"), "digits"), FULL)
