"""Images against their originals: rounding to 8 bits, PSNR and SSIM of the pixels, and what a network makes of both."""

from collections.abc import Callable

import torch
from torch import Tensor

WHITE = 255.0
PERFECT_PSNR = 100.0
"""dB given to an image reproduced to the last bit, whose PSNR is infinite."""


def to_uint8(images: Tensor, rounding: str) -> Tensor:
    """[0, 1] → uint8, to the nearest level (`round`) or downwards (`truncate`, as the published figures do)."""
    levels = images.clamp(0, 1) * WHITE
    return (levels.round() if rounding == "round" else levels).to(torch.uint8)


def psnr(images: Tensor, originals: Tensor) -> Tensor:
    """PSNR in dB of each image, float64 [N], for uint8 [N, 3, H, W] and a data range of 255; at most PERFECT_PSNR."""
    squared = (images.double() - originals.double()).square().mean((1, 2, 3))
    return (10 * torch.log10(WHITE**2 / squared)).clamp(max=PERFECT_PSNR)


def ssim(images: Tensor, originals: Tensor) -> Tensor:
    """SSIM of each image (Wang et al. 2004; Gaussian window 11, σ 1.5), float64 [N], data range 255."""
    # Takes seconds to import, and training needs this module for the PSNR alone.
    from torchmetrics.functional.image import structural_similarity_index_measure as similarity

    values = similarity(images.double(), originals.double(), data_range=WHITE, reduction="none")
    assert isinstance(values, Tensor)
    return values


@torch.no_grad()
def lpips(images: Tensor, originals: Tensor, network: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The `network`'s distance of each image, float64 [N], for uint8 [N, 3, H, W]; it sees them in [0, 1]."""
    return network(images.float() / WHITE, originals.float() / WHITE).double()
