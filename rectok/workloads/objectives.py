"""The objectives that parameters ask for, around new networks; the stages train them and the bench times them."""

from collections.abc import Callable

import torch
from torch import Tensor

from rectok.dit.config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.losses.config import AdversaryConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.params import Params
from rectok.params.schema import DiTParams
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.config import TokenizerConfig
from rectok.tokenizer.model import Tokenizer
from rectok.train.adversary import Adversary
from rectok.train.objectives import DiTObjective, Frozen, TokenizerObjective


def adversary_of(config: AdversaryConfig) -> Adversary | None:
    """The adversary, or None where its weight is 0."""
    return Adversary(config) if config.weight else None


def teaching(teacher: VisionNetwork, grid: int) -> Callable[[Tensor], Tensor]:
    """Images [B, 3, H, H] in [0, 1] → the teacher's features [B, grid², D], without a graph."""

    def teach(images: Tensor) -> Tensor:
        with torch.no_grad():
            return teacher.tokens(images, grid)

    return teach


def tokenizer_objective(
    params: Params,
    model: Tokenizer,
    teacher: VisionNetwork,
    perceptual: PerceptualLoss | None,
    adversary: Adversary | None,
) -> TokenizerObjective:
    """`model` in its objective; the teacher looks at every image only where features.storage is `online`."""
    section = params.tokenizer
    online = params.features.storage == "online"
    if online and params.machine.compile:
        teacher.compile_blocks()
    teach = teaching(teacher, model.config.grid) if online else None
    return TokenizerObjective(
        model, section.losses, section.flow, section.masking, Frozen(perceptual, teach, adversary)
    )


def generator_objective(
    section: DiTParams, latent: TokenizerConfig, classes: int, normalise: Callable[[Tensor], Tensor]
) -> DiTObjective:
    """A new DiT^DH in its objective, for the latents of the tokenizer that `latent` describes."""
    return DiTObjective(generator(section, latent, classes), normalise, section.label_dropout)


def generator(section: DiTParams, latent: TokenizerConfig, classes: int) -> DiTDH:
    """A new DiT^DH: the generator, or its guide."""
    return DiTDH(DiTConfig(grid=latent.grid, channels=latent.sizes.channels, classes=classes, sizes=section.sizes))
