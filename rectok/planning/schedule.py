"""Steps, FLOPs and hours of every stage."""

from collections.abc import Sequence
from dataclasses import dataclass

from rectok.params import Params
from rectok.planning.steps import Steps
from rectok.train.config import TrainingConfig
from rectok.workloads.costs import Costs, evaluations
from rectok.workloads.speed import Speed

ASSUMED_PEAK = 774.0
ASSUMED_SHARE = 0.25
ASSUMPTION = (
    f"assumed: {ASSUMED_SHARE:.0%} of {ASSUMED_PEAK:.0f} TFLOP/s, the bfloat16 matrix product of one H200, which is what the "
    "released implementation reaches in training DiT^DH-XL"
)


@dataclass(frozen=True)
class Workload:
    """What one stage computes: `images` images of `flops` each, as fast as `work`/`variant` of the bench goes."""

    stage: str
    work: str
    variant: str
    images: float
    flops: float
    epochs: float | None
    steps: int | None


@dataclass(frozen=True)
class Estimate:
    """A workload, the TFLOP/s that one GPU is taken to reach, what they rest on, and the hours on `gpus` of them."""

    workload: Workload
    tflops: float
    basis: str
    gpus: int

    @property
    def hours(self) -> float:
        """FLOPs over FLOP/s; GPUs are taken to add up."""
        return self.workload.images * self.workload.flops / (self.tflops * 1e12 * self.gpus) / 3600


def workloads(params: Params, steps: Steps, images: int) -> list[Workload]:
    """Everything that takes GPU time, in the order of the pipeline."""
    views, costs = images * (2 if params.image.flip else 1), steps.costs
    variant = ("online" if steps.online else "cached") + ("+adversary" if steps.judged else "")
    found = [] if steps.online else [_pass("features", "features", "to the host", views, costs.features())]
    found += [
        _training("tokenizer", "tokenizer", variant, params.tokenizer.training, images, steps.tokenizer_flops()),
        _training("decoder", "tokenizer", "cached", params.decoder.training, images, steps.flops("decoder")),
        _pass("latents", "encode", "encode", views, costs.encode()),
        _training("dit", "dit", "cached latents", params.dit.training, images, steps.flops("dit")),
        _training("guide", "dit", "cached latents", params.guide.training, images, steps.flops("guide")),
    ]
    samples = params.generation.per_class * costs.classes
    return [*found, _pass("generation", "sample", "", 2 * samples, _sampling(params, costs))]


def _training(stage: str, work: str, variant: str, config: TrainingConfig, images: int, flops: float) -> Workload:
    steps = config.steps(images)
    return Workload(stage, work, variant, steps * config.batch, flops, config.epochs, steps)


def _pass(stage: str, work: str, variant: str, images: int, flops: float) -> Workload:
    return Workload(stage, work, variant, images, flops, None, None)


def _sampling(params: Params, costs: Costs) -> float:
    """Mean FLOPs of an image, half of them drawn with guidance, taken to act at every step."""
    plain = costs.velocity(params.dit)
    other = costs.velocity(params.guide) if params.generation.guidance.kind == "autoguidance" else plain
    return evaluations(params.generation.sampler) * (plain + other / 2) + costs.decode()


def estimates(loads: Sequence[Workload], speeds: Sequence[Speed], gpus: int) -> list[Estimate]:
    """Hours of every workload, from the fastest record of its own work if there is one."""
    return [_estimate(load, speeds, gpus) for load in loads]


def _estimate(load: Workload, speeds: Sequence[Speed], gpus: int) -> Estimate:
    measured = [speed for speed in speeds if speed.work == load.work and speed.tflops]
    of_variant = [speed for speed in measured if speed.variant == load.variant] or measured
    if not of_variant:
        return Estimate(load, ASSUMED_PEAK * ASSUMED_SHARE, ASSUMPTION, gpus)
    best = max(of_variant, key=lambda speed: speed.tflops or 0.0)
    basis = f"measured: {best.work} / {best.variant}, batch {best.batch}, {best.preset}, on {best.device}"
    return Estimate(load, best.tflops or 0.0, basis, gpus)
