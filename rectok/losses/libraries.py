"""Perceptual weights that a library brings or downloads itself."""

from collections.abc import Callable
from importlib import resources
from urllib.error import URLError

import timm
import torch
from torch import Tensor
from torchvision.models import VGG16_Weights

from rectok.errors import UserError
from rectok.losses.loss_config import TIMM, TORCHMETRICS, TORCHVISION

CONVNEXT = "convnext_small.fb_in1k"
Weights = dict[str, Tensor]


def _vgg16() -> Weights:
    weights: Weights = torch.hub.load_state_dict_from_url(
        VGG16_Weights.IMAGENET1K_V1.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
    )
    return weights


def _lpips_heads() -> Weights:
    """They lie in the package: no download."""
    with (resources.files("torchmetrics.functional.image") / "lpips_models" / "vgg.pth").open("rb") as file:
        weights: Weights = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def _convnext() -> Weights:
    weights: Weights = timm.create_model(CONVNEXT, pretrained=True).state_dict()
    return weights


LIBRARIES: dict[str, tuple[Callable[[], Weights], str]] = {
    TORCHVISION: (_vgg16, f"VGG16 ({VGG16_Weights.IMAGENET1K_V1.url}, BSD-3-Clause)"),
    TORCHMETRICS: (_lpips_heads, "the heads of LPIPS (in the package torchmetrics, BSD-2-Clause)"),
    TIMM: (_convnext, f"ConvNeXt-S (https://huggingface.co/timm/{CONVNEXT}, Apache-2.0)"),
}


def library_weights(library: str) -> Weights:
    """The perceptual weights that `library` has. Raises UserError, with where they are, when it cannot download them."""
    load, described = LIBRARIES[library]
    try:
        return load()
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"{library} could not provide {described}: {' '.join(str(error).split())}; "
            "name a safetensors copy of it, with its sha256, in losses.perceptual instead"
        ) from None
