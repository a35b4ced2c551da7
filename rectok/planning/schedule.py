"""From work to hours: measured speeds where the bench has them, an assumption where not."""

from collections.abc import Sequence
from dataclasses import dataclass

from rectok.planning.stage_work import Workload
from rectok.workloads.speed import Speed

ASSUMED_PEAK = 774.0
ASSUMED_SHARE = 0.25
ASSUMPTION = (
    f"assumed: {ASSUMED_SHARE:.0%} of {ASSUMED_PEAK:.0f} TFLOP/s, the bfloat16 matrix product of one H200, which is what the "
    "released implementation reaches in training DiT^DH-XL"
)


@dataclass(frozen=True)
class Estimate:
    """A workload, the TFLOP/s that one GPU is taken to reach, and what they rest on."""

    workload: Workload
    tflops: float
    basis: str

    @property
    def hours(self) -> float:
        """FLOPs over FLOP/s; the workload's GPUs are taken to add up."""
        load = self.workload
        return load.images * load.flops / (self.tflops * 1e12 * load.gpus) / 3600


def total_hours(rows: Sequence[Estimate]) -> float:
    """One after the other."""
    return sum(row.hours for row in rows)


def estimates(loads: Sequence[Workload], speeds: Sequence[Speed], compiled: bool) -> list[Estimate]:
    """Hours of every workload by records of its work: those of its variant first, then compiled alike, then the fastest."""
    return [_estimate(load, speeds, compiled) for load in loads]


def _estimate(load: Workload, speeds: Sequence[Speed], compiled: bool) -> Estimate:
    def nearness(speed: Speed) -> tuple[bool, bool, float]:
        variant = speed.variant.partition(",")[0]  # the bench says of samplings how they were timed after a comma
        return variant == load.variant, speed.compiled == compiled, speed.tflops or 0.0

    measured = [speed for speed in speeds if speed.work == load.work and speed.tflops]
    if not measured:
        return Estimate(load, ASSUMED_PEAK * ASSUMED_SHARE, ASSUMPTION)
    best = max(measured, key=nearness)
    blocks = ", compiled" if best.compiled else ""
    basis = f"measured: {best.work} / {best.variant}, batch {best.batch}{blocks}, {best.preset}, on {best.device}"
    return Estimate(load, best.tflops or 0.0, basis)
