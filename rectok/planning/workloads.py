"""What every stage, and a night, computes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rectok.evaluation.evaluation_config import INCEPTION
from rectok.nn.counting import BFLOAT16
from rectok.params.schema import NetworkParams
from rectok.planning.images import Images
from rectok.planning.steps import Steps
from rectok.teacher.network import VisionNetwork
from rectok.workloads.costs import PAIR, Costs, evaluations


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
    """The stages of one run that keep a GPU busy, in the order of the pipeline.

    Those that start a process for each GPU (rectok/train/launch.py) have all of them, the others one.
    """
    params, costs = steps.params, steps.costs
    views = images.stored * (2 if params.image.flip else 1)
    return [
        *_proxy("teacher", params.teacher, costs, images.train),
        *_proxy("metric_network", params.metric_network, costs, images.train),
        *([] if steps.online else [Workload("features", "features", "to the host", views, costs.features())]),
        *_training("tokenizer", steps, images.train),
        *_training("decoder", steps, images.train),
        Workload("latents", "encode", "encode", views, costs.encode()),
        *_training("dit", steps, images.train),
        *_training("autoguidance", steps, images.train),
        *_reconstruction(costs, images),
        *samplings("generation", params.generation.per_class, costs),
    ]


def samplings(stage: str, per_class: int, costs: Costs) -> list[Workload]:
    """`per_class` samples of every class without guidance, and as many with it where it changes anything.

    Guidance is taken to act at every step.
    """
    params, count = costs.params, per_class * costs.classes
    guidance, times, decode = params.generation.guidance, evaluations(params.generation.sampler), costs.decode()
    plain = costs.velocity(params.dit)
    other = costs.velocity(params.autoguidance) if guidance.kind == "autoguidance" else plain
    unguided = Workload(f"{stage}, unguided", "sample", "plain", count, times * plain + decode)
    if guidance.neutral:
        return [unguided]
    return [unguided, Workload(f"{stage}, guided", "sample", guidance.kind, count, times * (plain + other) + decode)]


def _training(stage: str, steps: Steps, images: int) -> list[Workload]:
    """A training by DeepSpeed; none where its network is taken as it is."""
    config = steps.config(stage)
    if not config.epochs:
        return []
    flops = steps.tokenizer_flops() if stage == "tokenizer" else steps.flops(stage)
    count = config.steps(images)
    load = Workload(stage, *_timed_as(stage, steps), count * config.batch, flops, steps.gpus, config.epochs, count)
    return [load]


def _timed_as(stage: str, steps: Steps) -> tuple[str, str]:
    """Work and variant of the bench; it has none of the decoder, whose step is most like the tokenizer's."""
    if stage not in ("tokenizer", "decoder"):
        return "dit", "cached latents"
    section = steps.params.tokenizer if stage == "tokenizer" else steps.params.decoder
    source = "online" if stage == "tokenizer" and steps.online else "cached"
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
    batch = min(config.batch, images)
    count = config.epochs * (images // batch)
    return [Workload(stage, "classifier", "", count * batch, flops, 1, config.epochs, count)]


def _reconstruction(costs: Costs, images: Images) -> list[Workload]:
    """Held-out images to latents and back; none where nobody knows how many there are."""
    count = images.splits.get(costs.params.reconstruction.split)
    return [Workload("reconstruction", "encode", "encode", count, costs.encode() + costs.decode())] if count else []
