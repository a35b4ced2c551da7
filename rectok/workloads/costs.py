"""FLOPs and activations of everything that the pipeline computes, counted on the real objectives without running them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from rectok.dit.model import DiTDH
from rectok.losses.adversary import PatchGAN, adversary_loss, generator_loss
from rectok.losses.loss_config import AdversaryConfig, PerceptualConfig
from rectok.losses.perceptual import PerceptualLoss
from rectok.nn.counting import Cost, Shapes
from rectok.params import Params
from rectok.params.editing import changed
from rectok.params.schema import DiTParams
from rectok.sampling.sampler_config import SamplerConfig
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.train.objectives import DecoderObjective, FrozenNetworks
from rectok.train.step_random import StepRandom
from rectok.workloads.batches import image_batch
from rectok.workloads.generators import generator, step_cost
from rectok.workloads.objectives import perceptual_like, teacher_like, tokenizer_objective
from rectok.workloads.tokenizers import tokenizer_config

CPU = torch.device("cpu")
PAIR = 2
"""Images of a counted forward pass; its FLOPs are proportional to their number."""
Objective = Callable[..., tuple[Tensor, dict[str, Tensor], Tensor | None]]


@dataclass(frozen=True)
class MiddleRandom(StepRandom):
    """Draws whose one number for the whole batch, which decides the masked share, is the middle one."""

    def one_uniform(self) -> float:
        """½."""
        return 0.5


class Costs:
    """Counts what `params` ask for, with a generator of `classes` classes."""

    def __init__(self, params: Params, classes: int) -> None:
        self.params = params
        self.classes = classes
        self.shapes = Shapes()
        self.teacher = self.shapes.build(lambda: teacher_like(params))
        self.latent = tokenizer_config(params, self.teacher.width)

    @lru_cache  # noqa: B019 (there is one of these a command)
    def tokenizer_step(self, batch: int, online: bool, adversary: bool) -> Cost:
        """A training step of the tokenizer on `batch` images; with the teacher and the adversary where they are asked for."""
        section = self.params.tokenizer
        if adversary:
            step = self.tokenizer_step(batch, online, False)
            return _followed(step, self._adversary(section.losses.adversary, batch, section.training.precision))
        if online:
            step = self.tokenizer_step(batch, False, False)
            return Cost(step.flops + round(batch * self.features()), step.saved)
        cached = changed(self.params, {"features.storage": "int8"})
        perceptual = self.perceptual_network(section.losses.perceptual)
        objective = self.shapes.build(
            lambda: tokenizer_objective(cached, build_tokenizer(self.latent), self.teacher, perceptual, None)
        )
        return self._image_step(objective, perceptual, batch, section.distils, section.training.precision)

    @lru_cache  # noqa: B019
    def decoder_step(self, batch: int) -> Cost:
        """A step of the decoder finetuning on `batch` images, with its adversary if it has one."""
        section = self.params.decoder
        perceptual = self.perceptual_network(section.losses.perceptual)
        frozen = FrozenNetworks(perceptual, None, None)
        objective = self.shapes.build(lambda: DecoderObjective(build_tokenizer(self.latent), section.losses, frozen))
        step = self._image_step(objective, perceptual, batch, False, section.training.precision)
        if not section.losses.adversary.weight:
            return step
        return _followed(step, self._adversary(section.losses.adversary, batch, section.training.precision))

    @lru_cache  # noqa: B019
    def generator_step(self, section: DiTParams, batch: int) -> Cost:
        """A training step of the generator or its autoguidance model on `batch` latents."""
        return step_cost(self.shapes, section, self.latent, self.classes, self.params.latents.storage, batch)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, for passes without a gradient."""
        return self.shapes.build(lambda: build_tokenizer(self.latent))

    @lru_cache  # noqa: B019
    def generator(self, section: DiTParams) -> DiTDH:
        """The generator or its autoguidance model, for passes without a gradient."""
        return self.shapes.build(lambda: generator(section, self.latent, self.classes))

    @lru_cache  # noqa: B019
    def encode(self) -> float:
        """FLOPs of one image's moments."""
        encode = self.tokenizer.encode
        return self._each(lambda: encode(torch.empty(PAIR, 3, *self._sides)))

    @lru_cache  # noqa: B019
    def decode(self) -> float:
        """FLOPs of one latent's image."""
        decode, shape = self.tokenizer.decode, (self.latent.tokens, self.latent.sizes.channels)
        return self._each(lambda: decode(torch.empty(PAIR, *shape)))

    @lru_cache  # noqa: B019
    def features(self) -> float:
        """FLOPs of the teacher's tokens of one image in one orientation."""
        return self._each(lambda: self.teacher.tokens(torch.empty(PAIR, 3, *self._sides), self.latent.grid))

    @lru_cache  # noqa: B019
    def velocity(self, section: DiTParams) -> float:
        """FLOPs of one evaluation of the generator or its autoguidance model for one latent."""
        dit = self.generator(section)
        shape = (self.latent.sizes.channels, self.latent.grid, self.latent.grid)
        return self._each(
            lambda: dit(torch.empty(PAIR, *shape), torch.zeros(PAIR), torch.zeros(PAIR, dtype=torch.int64))
        )

    @lru_cache  # noqa: B019
    def head(self, section: DiTParams) -> float:
        """FLOPs of an evaluation that uses an earlier condition of the encoder."""
        dit = self.generator(section)
        side, channels, width = self.latent.grid, self.latent.sizes.channels, section.sizes.head.width
        return self._each(
            lambda: dit.decode(torch.empty(PAIR, channels, side, side), torch.empty(PAIR, side**2, width))
        )

    def velocities(self, section: DiTParams, sampler: SamplerConfig) -> float:
        """FLOPs of all evaluations of one sampling for one latent."""
        whole = math.ceil(sampler.evaluations / sampler.encoder_every)
        head = self.head(section) if whole < sampler.evaluations else 0.0
        return whole * self.velocity(section) + (sampler.evaluations - whole) * head

    def perceptual(self, config: PerceptualConfig) -> float:
        """FLOPs of the perceptual loss and its gradient for one image; 0 where its weight is 0."""
        perceptual = self.perceptual_network(config)
        if perceptual is None:
            return 0.0

        def loss() -> Tensor:
            images = torch.empty(PAIR, 3, *self._sides, requires_grad=True)
            return perceptual(images, torch.empty(PAIR, 3, *self._sides))  # type: ignore[no-any-return]

        return self.shapes.training(loss, [perceptual, self.teacher], "float32").flops / PAIR

    @property
    def _sides(self) -> tuple[int, int]:
        return self.latent.image_size, self.latent.image_size

    def _each(self, call: Callable[[], object]) -> float:
        return self.shapes.forward(call) / PAIR

    @lru_cache  # noqa: B019
    def perceptual_network(self, config: PerceptualConfig) -> PerceptualLoss | None:
        """The perceptual loss without weights, or None where it has none."""
        with torch.device("meta"):
            perceptual = perceptual_like(config, self.teacher)
        return None if perceptual is None else self.shapes.moved(perceptual)

    def _adversary(self, config: AdversaryConfig, batch: int, precision: str) -> Cost:
        """The cost of the generator's adversarial loss and of a step of the adversary."""
        network = self.shapes.build(lambda: PatchGAN(config.filters, config.layers))

        def generator_part() -> Tensor:
            network.requires_grad_(False)
            return generator_loss(network(torch.empty(batch, 3, *self._sides, requires_grad=True)))

        def adversary_part() -> Tensor:
            network.requires_grad_(True)
            return adversary_loss(*network(torch.empty(2 * batch, 3, *self._sides)).chunk(2))

        both = [self.shapes.training(loss, [network], precision) for loss in (generator_part, adversary_part)]
        return Cost(sum(cost.flops for cost in both), both[0].saved)

    def _image_step(
        self, objective: nn.Module, perceptual: PerceptualLoss | None, batch: int, cached: bool, precision: str
    ) -> Cost:
        networks = [objective, self.teacher, *([perceptual] if perceptual is not None else [])]

        def loss() -> Tensor:
            return _loss(objective, image_batch(self.latent, batch, "int8" if cached else "online", CPU), batch)

        return self.shapes.training(loss, networks, precision)


def image_flops(params: Params, stage: str) -> float:
    """FLOPs of one image in a step of the tokenizer or its decoder, with the adversary from the first step on."""
    costs = Costs(params, classes=1)  # labels are looked up
    if stage == "tokenizer":
        return (
            costs.tokenizer_step(PAIR, params.distils_online, params.tokenizer.losses.adversary.weight > 0).flops / PAIR
        )
    return costs.decoder_step(PAIR).flops / PAIR


def _followed(step: Cost, other: Cost) -> Cost:
    return Cost(step.flops + other.flops, step.saved + other.saved)


def _loss(objective: Objective, batch: object, size: int) -> Tensor:
    drawn = StepRandom.of((0,), size, 0, 1, CPU)
    loss, _, _ = objective(batch, MiddleRandom(drawn.generator, drawn.seed, drawn.samples, drawn.rows), 1.0)
    return loss
