"""Everything that one wants to know before spending GPU-days, without touching data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

from rectok.artifacts import TRAININGS
from rectok.params import Params
from rectok.planning.downloads import Download, downloads
from rectok.planning.images import images_of
from rectok.planning.schedule import Estimate, estimates, total_hours
from rectok.planning.sizes import FLOAT32, MEMORY_FORMULA, Memory, disk, memory, part_sizes
from rectok.planning.stage_work import Steps, samplings, workloads
from rectok.workloads.costs import Costs
from rectok.workloads.speed import Speed

ZERO_STAGES = (0, 1, 2, 3)


@dataclass(frozen=True)
class Plan:
    """The answers, in weights, bytes and FLOPs (a multiply-add counts two); `night` is one `rectok nightly`."""

    preset: str
    images: int
    stored: int
    classes: int
    gpus: int
    parameters: dict[str, int | None]
    flops: dict[str, float]
    memory: list[Memory]
    disk: dict[str, float]
    estimates: list[Estimate]
    night: list[Estimate]
    downloads: list[Download]

    def as_json(self) -> dict[str, Any]:
        """The same for machines, with totals and what the figures rest on."""
        return {
            **asdict(self),
            "memory": [{**asdict(row), "total": row.total} for row in self.memory],
            "memory_formula": MEMORY_FORMULA,
            **{
                name: [{**asdict(row), "hours": row.hours} for row in rows]
                for name, rows in (("estimates", self.estimates), ("night", self.night))
            },
            "hours": total_hours(self.estimates),
            "night_hours": total_hours(self.night),
        }


def make_plan(params: Params, images: int | None, gpus: int, speeds: Sequence[Speed], indexed: bool) -> Plan:
    """The plan of `params` for `images` train images on `gpus` GPUs; with `indexed`, data/index says how many there are."""
    dataset = images_of(params.preset, images, indexed)
    costs = Costs(params, dataset.classes)
    parts, steps = part_sizes(costs), Steps(params, costs, gpus)
    loads = workloads(steps, dataset)
    compiled = bool(params.machine.compile)  # auto compiles what takes long, on a GPU
    return Plan(
        params.preset,
        dataset.train,
        dataset.stored,
        dataset.classes,
        gpus,
        parts,
        {load.stage: load.flops for load in loads},
        _memories(steps, parts),
        _disk(params, costs, dataset.stored, parts),
        estimates(loads, speeds, compiled),
        estimates(samplings("night", params.nightly.per_class, costs, gpus), speeds, compiled),
        downloads(params),
    )


def disk_of(costs: Costs, images: int, parts: dict[str, int | None]) -> float:
    """Bytes on disk of a run that stores `images` and has networks of so many weights. It counts no step, which takes seconds."""
    return sum(_disk(costs.params, costs, images, parts).values())


def _disk(params: Params, costs: Costs, images: int, parts: dict[str, int | None]) -> dict[str, float]:
    """`disk`, with the snapshots of the generator where there are any."""
    posthoc = params.dit.posthoc_ema
    sizes = disk(params, costs.latent, images, _trained(parts), _size(parts, "alignment"))
    snapshots = posthoc.snapshots * len(posthoc.lengths) * FLOAT32 * _size(parts, "dit")
    return {**sizes, "snapshots": float(snapshots)} if snapshots else sizes


def _trained(parts: dict[str, int | None]) -> int:
    return _size(parts, "tokenizer", "dit", "autoguidance", "adversary")


def memory_of(params: Params, training: str, gpus: int) -> Memory:
    """What one of `gpus` GPUs holds in `training` on the images of data/index, under its own ZeRO stage."""
    costs = Costs(params, images_of(params.preset, None, indexed=True).classes)
    steps = Steps(params, costs, gpus)
    return _memory(steps, part_sizes(costs), training, gpus, steps.config(training).zero_stage)


def _memories(steps: Steps, parts: dict[str, int | None]) -> list[Memory]:
    """Every training under every ZeRO stage, on one GPU and on all, which take the same micro-batch each."""
    counts = sorted({1, steps.gpus})
    return [_memory(steps, parts, *row) for row in product(TRAININGS, counts, ZERO_STAGES)]


def _memory(steps: Steps, parts: dict[str, int | None], training: str, gpus: int, zero_stage: int) -> Memory:
    size = partial(_size, parts)
    proxy = bool(steps.params.tokenizer.losses.perceptual.weight) and not size("perceptual")
    helpers = size("perceptual") + (size("teacher") if steps.params.distils_online or proxy else 0)
    decoder_alone = size("tokenizer.decoder"), helpers + size("tokenizer.encoder") + size("tokenizer.semantic")
    weights = {
        "tokenizer": decoder_alone if steps.params.tokenizer.kind == "rae" else (size("tokenizer"), helpers),
        "decoder": decoder_alone,
        "dit": (size("dit", "alignment"), 0),
        "autoguidance": (size("autoguidance"), 0),
    }
    posthoc = steps.params.dit.posthoc_ema
    averages = 1 + (len(posthoc.lengths) if training == "dit" and posthoc.snapshots else 0)
    saved = steps.cost(training).saved
    return memory(training, steps.config(training), *weights[training], zero_stage, gpus, saved, averages)


def _size(parts: dict[str, int | None], *prefixes: str) -> int:
    return sum(count or 0 for name, count in parts.items() if name.startswith(prefixes))
