"""What the teacher says about images, in every orientation that training shows."""

import torch
from torch import Tensor

from rectok.nn.precision import bfloat16_on_gpu
from rectok.teacher.network import VisionNetwork


@torch.no_grad()
def oriented_tokens(network: VisionNetwork, images: Tensor, grid: int, flip: bool) -> Tensor:
    """uint8 [B, 3, H, W] → float32 [B, o, grid², D]: as they are and, with `flip`, mirrored (o = 2, else 1).

    Computed and left on the network's device, in bfloat16 where that is a GPU.
    """
    device = network.mean.device
    unit = images.to(device, non_blocking=True).float() / 255
    orientations = [unit, unit.flip(-1)] if flip else [unit]
    with bfloat16_on_gpu(device):
        tokens = [network.tokens(x, grid) for x in orientations]
    return torch.stack(tokens, dim=1).float()
