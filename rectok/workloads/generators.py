"""The generator's objective as parameters ask for it, around a new network; its stages train it and the bench times it."""

from collections.abc import Callable

from torch import Tensor

from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.params.schema import DiTParams
from rectok.tokenizer.tokenizer_config import TokenizerConfig
from rectok.train.objectives import DiTObjective


def generator_objective(
    section: DiTParams, latent: TokenizerConfig, classes: int, normalise: Callable[[Tensor], Tensor]
) -> DiTObjective:
    """A new DiT^DH in its objective, for the latents of the tokenizer that `latent` describes."""
    return DiTObjective(generator(section, latent, classes), normalise, section.label_dropout)


def generator(section: DiTParams, latent: TokenizerConfig, classes: int) -> DiTDH:
    """A new DiT^DH: the generator, or its autoguidance model."""
    return DiTDH(DiTConfig(grid=latent.grid, channels=latent.sizes.channels, classes=classes, sizes=section.sizes))
