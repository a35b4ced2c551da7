"""The generator's objective as parameters ask for it, around a new network; its stages train it and the bench times it."""

from collections.abc import Callable

import torch
from torch import Tensor

from rectok.data.data_config import LatentStorage
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.nn.counting import Cost, Shapes
from rectok.params.schema import DiTParams
from rectok.tokenizer.tokenizer_config import TokenizerConfig
from rectok.train.objectives import DiTObjective
from rectok.train.step_random import StepRandom
from rectok.workloads.batches import latent_batch


def generator_objective(
    section: DiTParams, latent: TokenizerConfig, classes: int, normalise: Callable[[Tensor], Tensor]
) -> DiTObjective:
    """A new DiT^DH in its objective, for the latents of the tokenizer that `latent` describes."""
    return DiTObjective(generator(section, latent, classes), normalise, section.label_dropout)


def generator(section: DiTParams, latent: TokenizerConfig, classes: int) -> DiTDH:
    """A new DiT^DH: the generator, or its autoguidance model."""
    return DiTDH(DiTConfig(grid=latent.grid, channels=latent.sizes.channels, classes=classes, sizes=section.sizes))


def step_cost(
    shapes: Shapes, section: DiTParams, latent: TokenizerConfig, classes: int, storage: LatentStorage, batch: int
) -> Cost:
    """What a training step on `batch` latents costs."""
    objective, cpu = (
        shapes.build(lambda: generator_objective(section, latent, classes, lambda z: z)),
        torch.device("cpu"),
    )

    def loss() -> Tensor:
        draws = StepRandom.of((0,), batch, 0, 1, cpu)
        return objective(latent_batch(latent, batch, storage, cpu), draws, 1.0)[0]  # type: ignore[no-any-return]

    return shapes.training(loss, [objective], section.training.precision)
