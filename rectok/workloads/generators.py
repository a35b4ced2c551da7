"""The generator's objective as parameters ask for it, around a new network; its stages train it and the bench times it."""

from collections.abc import Callable

import torch
from torch import Tensor

from rectok.data.data_config import LatentStorage
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.nn.counting import Cost, Shapes
from rectok.params.schema import DiTParams, GeneratorParams
from rectok.tokenizer.tokenizer_config import TokenizerConfig
from rectok.train.objectives import Alignment, DiTObjective
from rectok.train.step_random import StepRandom
from rectok.workloads.batches import latent_batch


def generator_objective(
    section: DiTParams, latent: TokenizerConfig, classes: int, normalise: Callable[[Tensor], Tensor]
) -> DiTObjective:
    """A new DiT^DH in its objective, for the latents of the tokenizer that `latent` describes."""
    dit = generator(section, latent, classes)
    if not isinstance(section, GeneratorParams):
        return DiTObjective(dit, normalise, section.label_dropout)
    alignment = alignment_of(section, latent.teacher_width) if section.alignment.block else None
    return DiTObjective(dit, normalise, section.label_dropout, section.internal.weight, alignment)


def alignment_of(section: GeneratorParams, teacher_width: int) -> Alignment:
    """A new MLP that predicts features of `teacher_width` channels from the tokens of the generator."""
    config = section.alignment
    return Alignment(section.sizes.encoder.width, teacher_width, config.block, config.weight)


def generator(section: DiTParams, latent: TokenizerConfig, classes: int) -> DiTDH:
    """A new DiT^DH: the generator, or its autoguidance model."""
    config = DiTConfig(grid=latent.grid, channels=latent.sizes.channels, classes=classes, sizes=section.sizes)
    if isinstance(section, GeneratorParams):
        config = config.model_copy(update={"prediction": section.prediction, "internal": section.internal.block})
    return DiTDH(config)


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
        aligned = objective.alignment is not None
        return objective(latent_batch(latent, batch, storage, cpu, aligned), draws, 1.0)[0]  # type: ignore[no-any-return]

    return shapes.training(loss, [objective], section.training.precision)
