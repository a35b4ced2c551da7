"""Everything that one wants to know before spending GPU-days, without touching data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import Params
from rectok.planning.disk import disk
from rectok.planning.downloads import Download, downloads
from rectok.planning.schedule import Estimate, estimates, workloads
from rectok.planning.sizes import MEMORY_FORMULA, Memory, memory, part_sizes
from rectok.planning.steps import TRAININGS, Steps
from rectok.workloads.costs import Costs
from rectok.workloads.speed import Speed

PUBLIC = {
    "digits": (1258, 10),
    "cifar10": (50_000, 10),
    "imagenet256": (1_281_167, 1000),
    "imagenet512": (1_281_167, 1000),
}
"""Train images and classes of the presets' public data."""
ZERO_STAGES = (0, 1, 2, 3)


@dataclass(frozen=True)
class Plan:
    """The answers; sizes in weights and bytes, work in FLOPs (a multiply-add counts two)."""

    preset: str
    images: int
    classes: int
    gpus: int
    parameters: dict[str, int | None]
    flops: dict[str, float]
    memory: list[Memory]
    disk: dict[str, float]
    estimates: list[Estimate]
    downloads: list[Download]

    def as_json(self) -> dict[str, Any]:
        """The same for machines, with totals and what the figures rest on."""
        return {
            **asdict(self),
            "memory": [{**asdict(row), "total": row.total} for row in self.memory],
            "memory_formula": MEMORY_FORMULA,
            "estimates": [{**asdict(row), "hours": row.hours} for row in self.estimates],
            "hours": sum(row.hours for row in self.estimates),
        }


def make_plan(params: Params, images: int | None, gpus: int, speeds: Sequence[Speed], indexed: bool) -> Plan:
    """The plan of `params` for `images` train images on `gpus` GPUs; with `indexed`, data/index says how many there are."""
    count, classes = _data(params, images, indexed)
    costs = Costs(params, classes)
    parts = part_sizes(costs)
    steps = Steps(params, costs, gpus)
    loads = workloads(params, steps, count)
    trained = sum(
        size or 0 for name, size in parts.items() if name.startswith(("tokenizer", "dit", "guide", "adversary"))
    )
    return Plan(
        params.preset,
        count,
        classes,
        gpus,
        parts,
        {load.stage: load.flops for load in loads},
        _memories(steps, parts),
        disk(params, costs.latent, count, trained),
        estimates(loads, speeds, gpus),
        downloads(params),
    )


def _data(params: Params, images: int | None, indexed: bool) -> tuple[int, int]:
    """Train images and classes: as asked, as indexed, or of the preset's public data. Raises UserError."""
    summary, known = artifacts.summary_file("index"), PUBLIC.get(params.preset)
    if indexed and summary.exists():
        found = artifacts.read_json(summary)["splits"]["train"], len(artifacts.read_json(artifacts.classes_file()))
    elif known is not None:
        found = known
    elif images is not None:
        found = images, 1000
    else:
        raise UserError(f"nothing says how many images {params.preset} has: add --images, or run `dvc repro index`")
    return images or found[0], found[1]


def _memories(steps: Steps, parts: dict[str, int | None]) -> list[Memory]:
    """Every training under every ZeRO stage, on one GPU and on all, which take the same micro-batch each."""

    def size(prefix: str) -> int:
        return sum(count or 0 for name, count in parts.items() if name.startswith(prefix))

    stand_in = bool(steps.params.tokenizer.losses.perceptual.weight) and not size("perceptual")
    helpers = size("perceptual") + (size("teacher") if steps.online or stand_in else 0)
    weights = {
        "tokenizer": (size("tokenizer"), helpers),
        "decoder": (size("tokenizer.decoder"), helpers + size("tokenizer.encoder") + size("tokenizer.semantic")),
        "dit": (size("dit"), 0),
        "guide": (size("guide"), 0),
    }
    return [
        memory(name, steps.config(name), *weights[name], stage, gpus, steps.cost(name).saved)
        for name in TRAININGS
        for gpus in sorted({1, steps.gpus})
        for stage in ZERO_STAGES
    ]
