"""The tokenizer's objective as parameters ask for it; the stage trains it and the bench times it.

The bench's frozen networks have random weights: neither speed nor size depends on what they know.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rectok.losses.loss_config import AdversaryConfig, PerceptualConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.params import Params
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.model import Tokenizer, ViTTokenizer
from rectok.tokenizer.rae import RAETokenizer
from rectok.train.adversary import Adversary
from rectok.train.autoencoder_objectives import RAEObjective, VAEObjective
from rectok.train.objectives import FrozenNetworks, ImageObjective, TokenizerObjective

RANDOM = "random weights"


def teacher_like(params: Params) -> VisionNetwork:
    """The teacher's network, frozen."""
    return VisionNetwork(params.teacher.network, None).frozen()


def perceptual_like(config: PerceptualConfig, teacher: VisionNetwork) -> PerceptualLoss | None:
    """The perceptual loss, or None where its weight is 0."""
    return PerceptualLoss(config, teacher.layers, read=False) if config.weight else None


def adversary_of(config: AdversaryConfig) -> Adversary | None:
    """The adversary, or None where its weight is 0."""
    return Adversary(config) if config.weight else None


@dataclass(frozen=True)
class Teaching:
    """Images [B, 3, H, H] in [0, 1] → the features [B, grid², D] of `network`, without a graph."""

    network: VisionNetwork
    grid: int

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """The features of `images`."""
        return self.network.tokens(images, self.grid)

    def compile_parts(self) -> None:
        """torch.compile the network's blocks in place."""
        self.network.compile_blocks()


def tokenizer_objective(
    params: Params,
    model: Tokenizer,
    teacher: VisionNetwork,
    perceptual: PerceptualLoss | None,
    adversary: Adversary | None,
) -> ImageObjective:
    """`model` in its objective; the teacher looks at every image only where it is distilled and features.storage is `online`."""
    section = params.tokenizer
    teach = Teaching(teacher, model.config.grid) if params.distils_online else None
    frozen = FrozenNetworks(perceptual, teach, adversary)
    if isinstance(model, RAETokenizer):
        return RAEObjective(model, section.losses, section.rae.noise, frozen)
    if isinstance(model, ViTTokenizer):
        return TokenizerObjective(model, section.losses, section.flow, section.masking, frozen)
    return VAEObjective(model, section.losses, frozen)
