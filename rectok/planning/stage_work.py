"""What every stage, and a nightly run, computes; and the four trainings of a plan, each step counted once."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.evaluation.evaluation_config import INCEPTION
from rectok.nn.counting import BFLOAT16, Cost
from rectok.params import Params
from rectok.params.schema import NetworkParams, TrainedParams
from rectok.planning.images import Images
from rectok.sampling.sampler_config import SamplerConfig
from rectok.teacher.network import VisionNetwork
from rectok.train.training_config import TrainingConfig
from rectok.workloads.costs import PAIR, Costs


@dataclass(frozen=True)
class Steps:
    """Steps of one GPU of `gpus`, each on its part of a micro-batch."""

    params: Params
    costs: Costs
    gpus: int

    def config(self, name: str) -> TrainingConfig:
        """How `name` is trained."""
        section: TrainedParams = getattr(self.params, name)
        return section.training

    def samples(self, name: str) -> int:
        """Images of a micro-batch on each GPU."""
        return max(1, self.config(name).micro_batch // self.gpus)

    def cost(self, name: str) -> Cost:
        """A step on that part, with the adversary active where there is one."""
        samples = self.samples(name)
        if name == "tokenizer":
            adversary = self.params.tokenizer.losses.adversary.weight > 0
            return self.costs.tokenizer_step(samples, self.params.distils_online, adversary)
        if name == "decoder":
            return self.costs.decoder_step(samples)
        return self.costs.generator_step(self.params.dit if name == "dit" else self.params.autoguidance, samples)

    def flops(self, name: str) -> float:
        """FLOPs of an image, forward and backward."""
        return self.cost(name).flops / self.samples(name)

    def tokenizer_flops(self) -> float:
        """The same, averaged over a training whose adversary starts late."""
        samples = self.samples("tokenizer")
        plain = self.costs.tokenizer_step(samples, self.params.distils_online, False).flops / samples
        start = self.params.tokenizer.losses.adversary.start
        return start * plain + (1 - start) * self.flops("tokenizer")


@dataclass(frozen=True)
class Workload:
    """`images` images of `flops` each on `gpus` GPUs, each of them as fast as `work`/`variant` of the bench goes."""

    stage: str
    work: str
    variant: str
    images: int
    flops: float
    gpus: int = 1
    epochs: float | None = None
    steps: int | None = None


def workloads(steps: Steps, images: Images) -> list[Workload]:
    """The stages of a run that keep a GPU busy, in order. All have all GPUs but the training of a proxy, which has one."""
    params, costs, gpus = steps.params, steps.costs, steps.gpus
    views = images.stored * (2 if params.image.flip else 1)
    return [
        *_proxy("teacher", params.teacher, costs, images.train),
        *_proxy("metric_network", params.metric_network, costs, images.train),
        *_features(steps, views),
        *_training("tokenizer", steps, images.train),
        *_training("decoder", steps, images.train),
        Workload("latents", "encode", "encode", views, costs.encode(), gpus),
        *_training("dit", steps, images.train),
        *evaluations(steps, images.train),
        *([] if params.dit.internal.block else _training("autoguidance", steps, images.train)),
        *_reconstruction(steps, images),
        *samplings("generation", params.generation.per_class, costs, gpus),
    ]


def _features(steps: Steps, views: int) -> list[Workload]:
    """What the teacher says about `views` images, where it is stored."""
    if steps.params.features.storage == "online":
        return []
    return [Workload("features", "features", "to the host", views, steps.costs.features(), steps.gpus)]


def samplings(stage: str, per_class: int, costs: Costs, gpus: int) -> list[Workload]:
    """`per_class` samples of every class, and as many with guidance at every step where it changes anything."""
    params, count = costs.params, per_class * costs.classes
    guidance, sampler, decode = params.generation.guidance, params.generation.sampler, costs.decode()
    plain = costs.velocities(params.dit, sampler)
    other = {"autoguidance": costs.velocities(params.autoguidance, sampler), "internal": 0.0}.get(guidance.kind, plain)
    unguided = Workload(f"{stage}, unguided", "sample", "plain", count, plain + decode, gpus)
    if guidance.neutral:
        return [unguided]
    return [unguided, Workload(f"{stage}, guided", "sample", guidance.kind, count, plain + other + decode, gpus)]


def _training(stage: str, steps: Steps, images: int) -> list[Workload]:
    """A training by DeepSpeed; none where its network is taken as it is."""
    config = steps.config(stage)
    if not config.epochs:
        return []
    flops = steps.tokenizer_flops() if stage == "tokenizer" else steps.flops(stage)
    count = config.steps(images)
    load = Workload(
        stage, *_timed_as(stage, steps), count * config.batch, flops, steps.gpus, count * config.batch / images, count
    )
    return [load]


def evaluations(steps: Steps, images: int) -> list[Workload]:
    """The samples that are measured while the generator trains (dit.evaluate_every)."""
    section, costs = steps.params.dit, steps.costs
    if not section.evaluate_every or not section.training.epochs:
        return []
    evaluation, count = section.evaluation, section.training.steps(images)
    every = section.training.on_rows(section.evaluate_every * images / section.training.batch)
    sampler = SamplerConfig(method="euler", points=evaluation.points, encoder_every=1, fp8=False)
    flops = costs.velocities(section, sampler) + costs.decode()
    samples = ceil(count / every) * evaluation.per_class * costs.classes  # the last step is evaluated, too
    return [Workload("dit, evaluations", "sample", "plain", samples, flops, steps.gpus)]


def _timed_as(stage: str, steps: Steps) -> tuple[str, str]:
    """Work and variant of the bench; it has none of the decoder, whose step is most like the tokenizer's."""
    if stage not in ("tokenizer", "decoder"):
        return "dit", "cached latents"
    section = steps.params.tokenizer if stage == "tokenizer" else steps.params.decoder
    source = "online" if stage == "tokenizer" and steps.params.distils_online else "cached"
    return "tokenizer", source + ("+adversary" if section.losses.adversary.weight else "")


def _proxy(stage: str, section: NetworkParams, costs: Costs, images: int) -> list[Workload]:
    """The training of a teacher or metric network that has no weights from elsewhere; the bench times none."""
    config, side = section.training, costs.latent.image_size
    if section.network.weights or section.network.name == INCEPTION:
        return []
    network = costs.shapes.build(lambda: VisionNetwork(section.network, costs.classes))

    def loss() -> Tensor:
        return F.cross_entropy(network(torch.empty(PAIR, 3, side, side)), torch.zeros(PAIR, dtype=torch.int64))

    flops = costs.shapes.training(loss, [network], BFLOAT16).flops / PAIR
    batch, epochs = min(config.batch, images), config.epochs_of(images)
    count = epochs * config.epoch_steps(images)
    return [Workload(stage, "classifier", "", count * batch, flops, 1, epochs, count)]


def _reconstruction(steps: Steps, images: Images) -> list[Workload]:
    """Held-out images to latents and back; none where nobody knows how many there are."""
    count = images.splits.get(steps.params.reconstruction.split)
    flops = steps.costs.encode() + steps.costs.decode()
    return [Workload("reconstruction", "encode", "encode", count, flops, steps.gpus)] if count else []
