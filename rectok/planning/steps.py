"""The four trainings of a plan, each step counted once."""

from dataclasses import dataclass

from rectok.nn.counting import Cost
from rectok.params import Params
from rectok.train.training_config import TrainingConfig
from rectok.workloads.costs import Costs

TRAININGS = ("tokenizer", "decoder", "dit", "autoguidance")


@dataclass(frozen=True)
class Steps:
    """Steps of one GPU of `gpus`, each on its part of a micro-batch."""

    params: Params
    costs: Costs
    gpus: int

    @property
    def online(self) -> bool:
        """Whether the teacher looks at every image while the tokenizer trains."""
        return self.params.features.storage == "online"

    @property
    def has_adversary(self) -> bool:
        """Whether the tokenizer has an adversary."""
        return self.params.tokenizer.losses.adversary.weight > 0

    def config(self, name: str) -> TrainingConfig:
        """How `name` is trained."""
        section = getattr(self.params, name)
        config: TrainingConfig = section.training
        return config

    def samples(self, name: str) -> int:
        """Images of a micro-batch on each GPU."""
        return max(1, self.config(name).micro_batch // self.gpus)

    def cost(self, name: str) -> Cost:
        """A step on that part, with the adversary active where there is one."""
        samples = self.samples(name)
        if name == "tokenizer":
            return self.costs.tokenizer_step(samples, self.online, self.has_adversary)
        if name == "decoder":
            return self.costs.decoder_step(samples)
        return self.costs.generator_step(self.params.dit if name == "dit" else self.params.autoguidance, samples)

    def flops(self, name: str) -> float:
        """FLOPs of an image, forward and backward."""
        return self.cost(name).flops / self.samples(name)

    def tokenizer_flops(self) -> float:
        """The same, averaged over a training whose adversary starts late."""
        plain = self.costs.tokenizer_step(self.samples("tokenizer"), self.online, False).flops / self.samples(
            "tokenizer"
        )
        start = self.params.tokenizer.losses.adversary.start
        return start * plain + (1 - start) * self.flops("tokenizer")
