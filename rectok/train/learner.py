"""The optimizer step, the same for every network: what training repeats and the bench times."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from rectok.data.dataset import ImageBatch
from rectok.data.loader import Batch
from rectok.nn.precision import PRODUCTS
from rectok.train import engine as engines
from rectok.train.cuda_graphs import PassGraphs
from rectok.train.ema import EMA
from rectok.train.meter import Meter
from rectok.train.objectives import LossOutput, Objective
from rectok.train.optimizer import ClippingAdamW, optimizer_of
from rectok.train.step_random import StepRandom
from rectok.train.training_config import TrainingConfig
from rectok.train.world import World

if TYPE_CHECKING:
    from rectok.train.working_weights import WorkingWeights

Mark = Callable[[str], None]
"""Is told the name of a part of a step when that part has been asked for."""


def unmarked(_part: str) -> None:
    """For who does not want to know."""


class Learner:
    """The engines of one training of `steps` steps, and the average of its weights; `lengths` are those of more averages.

    `graphed` steps run as CUDA graphs where bfloat16 copies of the weights stay in place, which one GPU has.
    """

    skipped = 0
    """Steps whose random numbers and batches were left out after rollbacks."""

    def __init__(
        self,
        objective: Objective,
        config: TrainingConfig,
        steps: int,
        seed: int,
        world: World,
        lengths: Sequence[float] = (),
        graphed: bool = False,
    ) -> None:
        self.objective = objective
        self.config, self.steps, self.seed, self.world = config, steps, seed, world
        self.adversary = objective.adversary
        optimizer = optimizer_of(objective, config, world)
        self.engine = engines.build(objective, optimizer, config, steps, world, config.zero_stage)
        self.engines: dict[str, Any] = {"model": self.engine}
        if self.adversary is not None:
            self.engines["adversary"] = self.adversary.start(config, steps, world)
        self.ema = EMA(self.engine.module, config.ema, lengths)
        self.weights = self._working_weights()
        self.generator = torch.Generator(world.device)
        self.graphs = None
        if graphed and self.weights is not None:
            self.graphs = PassGraphs(self._passes, self.ema.parameters, self.generator)

    def _working_weights(self) -> "WorkingWeights | None":
        """bfloat16 copies for the products of one GPU; with several micro-batches gradients are summed, in float32."""
        config, optimizer = self.config, self.engine.optimizer
        if (
            config.precision != "bfloat16"
            or config.batch != config.micro_batch
            or not isinstance(optimizer, ClippingAdamW)
        ):
            return None
        from rectok.train.working_weights import WorkingWeights  # needs Triton, which a CPU need not have

        modules = self.engine.module.modules()
        products = {module.weight for module in modules if isinstance(module, PRODUCTS)}
        pairs = zip(self.ema.parameters, self.ema.average, strict=True)
        weights = WorkingWeights((parameter, average) for parameter, average in pairs if parameter in products)
        optimizer.weights, self.ema.elsewhere = weights, weights.weights
        return weights

    def rest(self) -> None:
        """Let the network hold its float32 weights; the next step goes on with the copies that products compute with."""
        if self.weights is not None:
            self.weights.rest()

    def draws(self, number: int, micro: int, samples: int) -> StepRandom:
        """The random numbers of micro-batch `micro` of step `number`, of which this process holds `samples` images."""
        key = (self.seed, number + self.skipped, micro)
        return StepRandom.of(key, samples, self.world.rank, self.world.size, self.world.device, self.generator)

    def kind(self, number: int) -> Hashable:
        """What decides which kernels step `number` runs."""
        return self.objective.kind(self.draws(number, 0, 1), number / self.steps)

    def step(self, number: int, batches: Iterator[Batch], meter: Meter, mark: Mark = unmarked) -> None:
        """Optimizer step `number` over the micro-batches of one global batch; its figures go to `meter`, without a sync."""
        progress = number / self.steps
        if self.weights is not None:
            self.weights.work(self.ema.forget(number))
        for micro in range(self.config.batch // self.config.micro_batch):
            batch = next(batches).to(self.world.device)
            draws = self.draws(number, micro, len(batch.label))
            mark("batch")
            if self.graphs is None:
                loss, parts, fake = self._passes(batch, draws, progress, mark)
            else:
                kind = self.objective.kind(draws, progress)
                loss, parts, fake = self.graphs(kind, batch, draws, progress)
                mark("forward and backward")
            self.engine.step()
            mark("optimizer")
            if self.adversary and fake is not None and isinstance(batch, ImageBatch):
                parts |= self.adversary.learn(batch.image, fake.detach(), progress)
                mark("adversary")
            meter.add(number + 1, loss, parts)
        self.ema.update(number)
        mark("average of weights")

    def _passes(self, batch: Batch, draws: StepRandom, progress: float, mark: Mark = unmarked) -> LossOutput:
        loss, parts, fake = self.engine(batch, draws, progress)
        mark("forward")
        self.engine.backward(loss)
        mark("backward")
        return loss, parts, fake
