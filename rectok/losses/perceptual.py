"""The perceptual loss: LPIPS on VGG16 (arXiv 1801.03924) and the logits of ConvNeXt-S, or a proxy.

Weights are safetensors files with these keys, all of them and no others:
`vgg`: `features.<i>.weight` and `.bias` as torchvision's vgg16 names them (its `classifier.*` may be there, unread);
`lpips_heads`: `lin<i>.model.1.weight`, i = 0…4, [1, C_i, 1, 1], as the lpips package names them;
`convnext`: timm's convnext_small with 1000 classes.
Or the name of the library that has them: `torchvision`, `torchmetrics`, `timm`, in this order.
"""

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, Self
from urllib.error import URLError

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import cfgs, make_layers

from rectok.errors import UserError
from rectok.losses.loss_config import TIMM, TORCHMETRICS, TORCHVISION, PerceptualConfig
from rectok.nn.gelu import faster_gelu
from rectok.nn.precision import bfloat16_products
from rectok.nn.resizing import resized
from rectok.nn.weights import assign_weights, read_weights
from rectok.storage.objects import verified
from rectok.storage.storage_config import WeightsFile

CONVNEXT = "convnext_small.fb_in1k"
Weights = dict[str, Tensor]
Layers = Callable[[Tensor], Sequence[Tensor]]
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # for images in [−1, 1]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # for images in [0, 1]
LPIPS_EPS = 1e-10
CONVNEXT_SIDE = 224
VGG_TAPS = (3, 8, 15, 22, 29)
VGG_WIDTHS = (64, 128, 256, 512, 512)


def _vgg16() -> Any:
    return torch.hub.load_state_dict_from_url(
        VGG16_Weights.IMAGENET1K_V1.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
    )


def _lpips_heads() -> Any:
    """They lie in the package: no download."""
    with (resources.files("torchmetrics.functional.image") / "lpips_models" / "vgg.pth").open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


LIBRARIES: dict[str, tuple[Callable[[], Any], str]] = {
    TORCHVISION: (_vgg16, f"VGG16 ({VGG16_Weights.IMAGENET1K_V1.url}, BSD-3-Clause)"),
    TORCHMETRICS: (_lpips_heads, "the heads of LPIPS (in the package torchmetrics, BSD-2-Clause)"),
    TIMM: (
        lambda: timm.create_model(CONVNEXT, pretrained=True).state_dict(),
        f"ConvNeXt-S (https://huggingface.co/timm/{CONVNEXT}, Apache-2.0)",
    ),
}


def library_weights(library: str) -> Weights:
    """The perceptual weights that `library` has. Raises UserError, with where they are, when it cannot download them."""
    load, described = LIBRARIES[library]
    try:
        weights: Weights = load()
        return weights
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"{library} could not provide {described}: {' '.join(str(error).split())}; "
            "name a safetensors copy of it, with its sha256, in losses.perceptual instead"
        ) from None


class PerceptualLoss(nn.Module):
    """(lpips·LPIPS + logits·MSE of logits) / (lpips + logits), or the proxy where `config` names no weights.

    The proxy is the mean over the maps that `layers` gives of Σ over channels of the squared difference of
    channel-normalised features, averaged over positions. `name` says which of the two it is. Without `read` the weights
    stay random, for measuring speed and size.
    """

    def __init__(self, config: PerceptualConfig, layers: Layers, read: bool = True) -> None:
        super().__init__()
        self.lpips_weight, self.logits_weight = config.lpips, config.logits
        self.lpips: LPIPS | None = None
        self.convnext: ConvNeXtLogits | None = None
        self.layers = layers
        self.name = "proxy: layers of the teacher"
        if _has_weights(config):
            self.lpips = LPIPS()
            self.name = "LPIPS-VGG16"
            if config.logits:
                self.convnext = ConvNeXtLogits()
                self.name = "LPIPS-VGG16 + ConvNeXt-S"
            if read:
                self.lpips.read(config)
                if self.convnext is not None:
                    _fill(self.convnext.trunk, config.convnext)
        self.eval().requires_grad_(False)

    def on(self, device: torch.device | str, precision: str) -> Self:
        """This loss on `device`, its weights channels-last; on a GPU in the `precision` that it computes in."""
        if precision == "bfloat16" and torch.device(device).type == "cuda":
            bfloat16_products(self)
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def compile_parts(self) -> None:
        """torch.compile LPIPS, and each block of ConvNeXt-S; the proxy stays as it is."""
        # ConvNeXt's blocks have four widths and two precisions, each with and without a graph.
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 2 * 4 * 2 * 2)
        if self.lpips is not None:
            self.lpips.compile(dynamic=False)
        if self.convnext is not None:
            self.convnext.compile_blocks()

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """images and targets [B, 3, H, W] in [0, 1] → the batch's mean, a scalar; gradients reach `images` only."""
        targets = targets.detach()
        if self.lpips is None:
            distances = [feature_distance(*pair) for pair in _pairs(self.layers, images, targets)]
            return torch.stack(distances).mean()
        loss = self.lpips_weight * self.lpips(images, targets).mean()
        if self.convnext is not None:
            ours, theirs = (self.convnext(x) for x in (images, targets))
            loss = loss + self.logits_weight * F.mse_loss(ours, theirs)
        mean: Tensor = loss / (self.lpips_weight + self.logits_weight)
        return mean


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity on VGG16, version 0.1 of its 1×1 heads."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.vgg = nn.ModuleDict({"features": make_layers(cfgs["D"], batch_norm=False)[: VGG_TAPS[-1] + 1]})
        self.heads = nn.ModuleDict({f"lin{i}": _Head(width) for i, width in enumerate(VGG_WIDTHS)})
        self.register_buffer("shift", torch.tensor(LPIPS_SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(LPIPS_SCALE).view(3, 1, 1))

    def read(self, config: PerceptualConfig) -> None:
        """Take the weights that `config` names."""
        _fill(self.vgg, config.vgg, unread="classifier.")
        _fill(self.heads, config.lpips_heads)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Two batches [B, 3, H, W] in [0, 1] → distances [B]."""
        images, targets = (x.contiguous(memory_format=torch.channels_last) for x in (images, targets))
        total = images.new_zeros(len(images))
        for head, pair in zip(self.heads.values(), _pairs(self._taps, images, targets), strict=True):
            ours, theirs = (F.normalize(x, dim=1, eps=LPIPS_EPS) for x in pair)
            total = total + head((ours - theirs).square()).mean((1, 2, 3))
        return total

    def _taps(self, images: Tensor) -> list[Tensor]:
        x = (2 * images - 1 - self.shift) / self.scale
        taps = []
        for i, layer in enumerate(self.vgg["features"].children()):
            x = layer(x)
            if i in VGG_TAPS:
                taps.append(x)
        return taps


def load_lpips(config: PerceptualConfig) -> LPIPS | None:
    """LPIPS with the weights that `config` names, frozen; None where it names none and a proxy serves as the loss."""
    if not _has_weights(config):
        return None
    network = LPIPS()
    network.read(config)
    return network.eval().requires_grad_(False)


class _Head(nn.Module):
    """An Identity stands where the lpips package has a Dropout, so that keys agree."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(width, 1, 1, bias=False))

    def forward(self, squares: Tensor) -> Tensor:
        """[B, C, h, w] → [B, 1, h, w]."""
        if squares.is_cuda:  # a weighted sum in float32, which compiles into the kernel that makes the squares
            return (squares * self.model[1].weight.float()).sum(1, keepdim=True)  # type: ignore[operator]
        return self.model(squares)  # type: ignore[no-any-return]


class ConvNeXtLogits(nn.Module):
    """ImageNet class scores of ConvNeXt-S (arXiv 2201.03545)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = timm.create_model("convnext_small")
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def compile_blocks(self) -> None:
        """torch.compile every block in place."""
        for stage in self.trunk.stages:
            for block in stage.blocks:
                faster_gelu(block)
                block.compile(dynamic=False)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] → [B, 1000]."""
        if images.is_cuda:
            x = resized(images, CONVNEXT_SIDE, "bilinear").contiguous(memory_format=torch.channels_last)
        else:  # in float32, since on a CPU torch resizes no bfloat16 with antialiasing
            x = F.interpolate(images.float(), (CONVNEXT_SIDE, CONVNEXT_SIDE), mode="bilinear", antialias=True)
        return self.trunk((x - self.mean) / self.std)  # type: ignore[no-any-return]


def feature_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Σ over channels of the squared difference of unit vectors, maps [B, C, h, w] → mean over B, h, w; in [0, 4]."""
    return (F.normalize(ours, dim=1) - F.normalize(theirs, dim=1)).square().sum(1).mean()


def _pairs(layers: Layers, images: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The maps of both, layer by layer; those of the targets without a graph."""
    with torch.no_grad():
        theirs = layers(targets)
    return list(zip(layers(images), theirs, strict=True))


def _has_weights(config: PerceptualConfig) -> bool:
    """Whether weights are named. Raises UserError when only some of those needed are."""
    needed = {"vgg": config.vgg, "lpips_heads": config.lpips_heads}
    if config.logits:
        needed["convnext"] = config.convnext
    missing = [name for name, file in needed.items() if not file.path]
    if missing and any(file.path for file in (config.vgg, config.lpips_heads, config.convnext)):
        raise UserError(
            f"perceptual.{missing[0]}.path is empty while other perceptual weights are named; "
            "give vgg, lpips_heads and convnext (not needed where logits is 0), or none of them for the proxy"
        )
    return not missing


def _fill(module: nn.Module, file: WeightsFile, unread: str | None = None) -> None:
    """Load `file` into `module` strictly, passing over keys that begin with `unread`."""
    if file.path in LIBRARIES:
        weights = library_weights(file.path)
    else:
        with verified(file.path, file.sha256) as path:
            weights = read_weights(path, file.path)
    used = {key: x for key, x in weights.items() if unread is None or not key.startswith(unread)}
    assign_weights(module, used, file.path)
