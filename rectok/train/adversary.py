"""The PatchGAN adversary and its own DeepSpeed engine."""

import math
from typing import Any

import torch
from torch import Tensor

from rectok.losses.adversary import PatchGAN, adversary_loss, generator_loss
from rectok.losses.loss_config import AdversaryConfig
from rectok.nn.memory import fitting
from rectok.tokenizer.model import from_bytes
from rectok.train import engine as engines
from rectok.train.optimizer import optimizer_of
from rectok.train.training_config import TrainingConfig
from rectok.train.world import World


class Adversary:
    """Learns to tell reconstructions from images, from the progress `config.start` of training on."""

    engine: Any

    def __init__(self, config: AdversaryConfig) -> None:
        self.config = config
        self.network = fitting("losses.adversary", lambda: PatchGAN(config.filters, config.layers))

    def start(self, training: TrainingConfig, steps: int, world: World) -> Any:
        """Build its engine, whose schedule spans its active steps; a few million parameters are not worth more than ZeRO 1.

        BatchNorm sees each process's own samples, as in the published training.
        """
        active = max(1, math.ceil(steps * (1 - self.config.start)))
        optimizer = optimizer_of(self.network, training, world, self.config.lr_per_256)
        self.engine = engines.build(self.network, optimizer, training, active, world, min(training.zero_stage, 1))
        return self.engine

    def compile_parts(self) -> None:
        """torch.compile the network in place."""
        self.network.compile(dynamic=False)

    def active(self, progress: float) -> bool:
        """Whether it takes part once `progress` of training is done."""
        return progress >= self.config.start

    def generator_loss_of(self, fake: Tensor) -> Tensor:
        """The generator's loss on reconstructions [B, 3, H, H] in [−1, 1], without a gradient to the adversary's weights."""
        self.network.requires_grad_(False)
        loss = generator_loss(self.network(fake))
        self.network.requires_grad_(True)
        return loss

    def learn(self, images: Tensor, fake: Tensor, progress: float) -> dict[str, Tensor]:
        """One micro-step on real uint8 images and detached reconstructions; its loss, or nothing before it is active."""
        if not self.active(progress):
            return {}
        both = self.engine(torch.cat([from_bytes(images), fake.float()]))
        loss = adversary_loss(*both.chunk(2))
        self.engine.backward(loss)
        self.engine.step()
        return {"adversary": loss}
