"""PatchGAN with hinge loss (arXiv 1611.07004, as used by VQGAN, arXiv 2012.09841)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchGAN(nn.Module):
    """Judges overlapping patches: `layers` stride-2 convolutions from `filters` channels, BatchNorm, one logit a patch."""

    def __init__(self, filters: int, layers: int) -> None:
        super().__init__()
        widths = [filters * min(2**i, 8) for i in range(layers + 1)]
        stages: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, (before, after) in enumerate(pairwise(widths)):
            stride = 1 if i == layers - 1 else 2
            stages += [nn.Conv2d(before, after, 4, stride, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*stages, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, 3, H, W] in [−1, 1] → logits [B, 1, h, w]; positive means real."""
        # The layout of fast convolutions, on a GPU and on a CPU.
        return self.net(images.contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def adversary_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the discriminator: ½·E[relu(1 − real)] + ½·E[relu(1 + fake)]."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def generator_loss(fake: Tensor) -> Tensor:
    """−E[fake logits]."""
    return -fake.mean()
