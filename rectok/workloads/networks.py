"""The frozen networks that parameters name, with random weights: neither speed nor size depends on what they know."""

from rectok.losses.loss_config import PerceptualConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.params import Params
from rectok.teacher.network import VisionNetwork

RANDOM = "random weights"


def teacher_like(params: Params) -> VisionNetwork:
    """The teacher's network, frozen."""
    return VisionNetwork(params.teacher.network, None).frozen()


def perceptual_like(config: PerceptualConfig, teacher: VisionNetwork) -> PerceptualLoss | None:
    """The perceptual loss, or None where its weight is 0."""
    return PerceptualLoss(config, teacher.layers, read=False) if config.weight else None
