"""Training steps as the stages take them: objective, engine, optimizer, average of weights, meter."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat

from rectok.bench.work import Prepared, Setting, Variant
from rectok.data.loader import Batch
from rectok.nn.counting import FORWARD_AND_BACKWARD, products
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.masking import visible_tokens
from rectok.train.learner import Learner, Mark, unmarked
from rectok.train.meter import Meter
from rectok.train.objectives import Objective
from rectok.train.training_config import TrainingConfig
from rectok.train.world import compiles, graphs
from rectok.workloads.batches import image_batch, latent_batch
from rectok.workloads.costs import PAIR
from rectok.workloads.generators import generator_objective
from rectok.workloads.objectives import adversary_of, perceptual_like, teacher_like, tokenizer_objective
from rectok.workloads.tokenizers import tokenizer_config
from rectok.workloads.variants import TOKENIZER_VARIANTS, tokenizer_variant, with_batch

STEPS = 10_000
"""Length of the training whose first steps are timed."""


def tokenizer(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """The tokenizer's step, by where features come from and with or without the adversary."""
    size = batch or setting.params.tokenizer.training.micro_batch
    for name in TOKENIZER_VARIANTS:
        yield Variant(name, size, partial(_tokenizer, setting, name, size))


def dit(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """The generator's step, on cached latents."""
    size = batch or setting.params.dit.training.micro_batch
    yield Variant("cached latents", size, partial(_dit, setting, size))


def _tokenizer(setting: Setting, variant: str, batch: int) -> Prepared:
    params = with_batch(tokenizer_variant(setting.params, variant), "tokenizer", batch)
    section, device = params.tokenizer, setting.world.device
    teacher = teacher_like(params).on(device)
    perceptual = perceptual_like(section.losses.perceptual, teacher)
    adversary = adversary_of(section.losses.adversary)
    model = build_tokenizer(tokenizer_config(params, teacher.width))
    moved = None if perceptual is None else perceptual.on(device, section.training.precision)
    objective = tokenizer_objective(params, model, teacher, moved, adversary)
    storage = params.features.storage if section.distils else "online"
    images = image_batch(objective.tokenizer.config, batch, storage, device)
    flops = setting.costs.tokenizer_step(PAIR, params.distils_online, adversary is not None).flops / PAIR
    masked = section.kind == "rectok"
    visible = partial(visible_tokens, objective.tokenizer.config.tokens, config=section.masking) if masked else None
    return _steps(setting, objective, section.training, images, flops, visible)


def _dit(setting: Setting, batch: int) -> Prepared:
    section, latent = with_batch(setting.params, "dit", batch).dit, setting.costs.latent
    objective = generator_objective(section, latent, setting.classes, lambda z: z)
    aligned = objective.alignment is not None
    latents = latent_batch(latent, batch, setting.params.latents.storage, setting.world.device, aligned)
    flops = setting.costs.generator_step(section, PAIR).flops / PAIR
    return _steps(setting, objective, section.training, latents, flops)


def _steps(
    setting: Setting,
    objective: Objective,
    config: TrainingConfig,
    batch: Batch,
    flops: float,
    visible: Callable[[float], int] | None = None,
) -> Prepared:
    compiled = compiles(setting.params.machine, math.inf)  # as in a long training
    if compiled:
        objective.compile_parts()
    network = objective.network
    step_flops = FORWARD_AND_BACKWARD * products(network, network.config.tokens) * config.batch  # as the stages count
    graphed = graphs(setting.params.machine, step_flops)
    learner = Learner(objective, config, STEPS, setting.params.seed, setting.world, graphed=graphed)
    learner.engine.train()
    step = _Steps(learner, batch, visible)
    return Prepared(
        config.batch, flops, config.precision, compiled, step.warm, lambda timer: timer(step), step=step.marked
    )


class _Steps:
    """Each call is the next optimizer step, on the same batch with other draws.

    `visible` says how many tokens a step's ratio draw leaves visible; None where nothing is masked.
    """

    def __init__(self, learner: Learner, batch: Batch, visible: Callable[[float], int] | None) -> None:
        self.learner, self.batches, self.visible = learner, repeat(batch), visible
        self.meter = Meter("bench", learner.world)
        self.number = 0

    def __call__(self) -> None:
        self.marked(unmarked)

    def marked(self, mark: Mark) -> None:
        """The next step, with a mark before it and one after each of its parts."""
        mark("")
        self.learner.step(self.number, self.batches, self.meter, mark)
        self.number += 1

    def warm(self) -> None:
        """Two steps of every kind: torch.compile makes other code for all tokens, for counts that 8 divides, and for others.

        CUDA graphs have kinds of their own.
        """
        graphed = self.learner.graphs is not None
        kinds = {self.learner.kind(n) if graphed else self._kind(n): n for n in range(STEPS // 10)}
        for number in (*kinds.values(), *kinds.values()):
            self.learner.step(number, self.batches, self.meter)

    def _kind(self, number: int) -> tuple[bool, bool]:
        if self.visible is None:
            return True, True
        count = self.visible(self.learner.draws(number, 0, 1).one_uniform())
        return count == self.visible(0.0), count % 8 == 0
