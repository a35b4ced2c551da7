"""Parameters that fit a collection of images and the hardware: changes of the preset `photos`."""

import math
from dataclasses import dataclass
from typing import Any

from rectok.artifacts import TRAININGS
from rectok.data.collection import Collection
from rectok.errors import UserError
from rectok.params.editing import read, shard_names
from rectok.params.presets import preset_text
from rectok.storage.objects import is_remote

PRESET = "photos"
LARGE = "cifar10"
"""The preset whose networks a GPU trains."""
STEPS = {
    "teacher": (300, 3_000),
    "metric_network": (300, 3_000),
    "tokenizer": (600, 6_000),
    "decoder": (60, 2_000),
    "dit": (600, 15_000),
    "autoguidance": (120, 1_500),
}
"""Steps that each training takes on two CPU cores and on a GPU, whatever the number of images."""
GRID = {False: 8, True: 16}
"""Tokens along a side on a CPU and on a GPU. The published tokenizer has 16."""
SIDES = range(32, 513)
"""Sides of images."""
IMAGES_PER_SHARD = 10_000
DRAWN = {False: 160, True: 10_000}
"""Samples that an evaluation draws over all classes."""
MOST_SHARDS = 128
MIN_PER_CLASS = 20
"""The floor for images per class where all classes have so many."""
PARTS = 5
"""Parts of a nightly run's samples, of which each has every class."""
TRAIN = 0.8
"""Share of the images that are trained with, by the splits of the preset."""
PATCH = 16
"""Side of a patch of the pretrained teacher."""
BYTES_PER_IMAGE = 55e6
"""What a training on a GPU keeps of an image of a micro-batch at most, by `rectok plan`."""
USABLE = 0.8
"""Share of a GPU's memory for that."""
CLASSIFIERS = ("teacher", "metric_network")
PRETRAINED = {
    "teacher": {
        "name": "vit_small_patch16_dinov3.lvd1689m",
        "options": {},
        "image_size": 128,
        "mean": "auto",
        "std": "auto",
        "weights": "timm",
        "sha256": "",
        "licence": "DINOv3 License",
    },
    "metric_network": {
        "name": "inception-v3-compat",
        "options": {},
        "image_size": 299,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "weights": "torch-fidelity",
        "sha256": "",
        "licence": "Apache-2.0",
    },
}
"""What unlabelled images need, since no proxy can be trained on them. The libraries download the weights."""


@dataclass(frozen=True)
class Hardware:
    """The number of GPUs, and the memory of the smallest in bytes. Without GPUs, two CPU cores are enough."""

    gpus: int = 0
    memory: int = 0


def fitted(collection: Collection, source: str, labels: str, size: int, hardware: Hardware) -> dict[str, Any]:
    """Values by dotted name, for `rectok.params.editing.edited`.

    Raises UserError for a size that the tokens do not divide, and for a collection without any usable image.
    """
    gpu = hardware.gpus > 0
    grid = GRID[gpu]
    if size not in SIDES or size % grid:
        raise UserError(f"--size is {size}, but must be a multiple of {grid} from {SIDES.start} to {SIDES.stop - 1}")
    if not collection.usable:
        reasons = ", ".join(collection.counts("unusable"))
        raise UserError(f"none of the images of {source} can be read ({reasons})")
    values = _data(collection, source, labels) | _sizes(size, grid, gpu) | _machine(hardware)
    if labels == "none":
        values |= {f"{stage}.network": network for stage, network in PRETRAINED.items()}
        values["teacher.network.image_size"] = PATCH * grid
    values |= _thresholds(collection)
    per_class = max(1, DRAWN[gpu] // len(collection.classes))
    values |= {"generation.per_class": per_class, "nightly.per_class": max(PARTS, per_class)}
    return values | _epochs(math.floor(TRAIN * collection.images), gpu)


def _data(collection: Collection, source: str, labels: str) -> dict[str, Any]:
    usable = {look.mode for look in collection.usable}
    return {
        "index.source": source,
        **({} if is_remote(source) else {"index.watch": source}),
        "index.labels": labels,
        "index.shards": shard_names(min(MOST_SHARDS, math.ceil(collection.images / IMAGES_PER_SHARD))),
        "image.modes": [mode for mode, _ in collection.counts("mode").most_common() if mode in usable],
    }


def _sizes(size: int, grid: int, gpu: bool) -> dict[str, Any]:
    """The networks of the preset `photos` on a CPU, and those of LARGE on a GPU. A token of the teacher meets each of ours."""
    large = read(preset_text(LARGE))
    parts = [(stage, part) for stage in TRAININGS for part in ("sizes", "training") if part in large[stage]]
    parts += [(stage, part) for stage in CLASSIFIERS for part in ("network", "training")] + [("machine", "workers")]
    values = {f"{stage}.{part}": large[stage][part] for stage, part in parts} if gpu else {}
    values |= {"image.size": size, "tokenizer.sizes.patch": size // grid}
    for stage in CLASSIFIERS:
        values |= {f"{stage}.network.image_size": 8 * grid, f"{stage}.training.crop_padding": size // 16}
    return values


def _machine(hardware: Hardware) -> dict[str, Any]:
    """As many processes as divide the batches, and micro-batches that fit into the GPUs together."""
    if not hardware.gpus:
        return {}
    large = read(preset_text(LARGE))
    processes = 2 ** int(math.log2(hardware.gpus))
    fits = processes * 2 ** int(math.log2(max(1.0, USABLE * hardware.memory / BYTES_PER_IMAGE)))
    batches = {stage: large[stage]["training"]["batch"] for stage in TRAININGS}
    micro = {f"{stage}.training.micro_batch": min(batch, fits) for stage, batch in batches.items()}
    return {"machine.processes": processes, **micro}


def _thresholds(collection: Collection) -> dict[str, Any]:
    """Thresholds that these images reach. A proxy must be better than chance."""
    sizes = [images for images in collection.classes.values() if images]
    chance = 1 / len(sizes)
    accuracy = round(min(2 * chance, chance + 0.1 * (1 - chance)), 3)
    bad = len(collection.looks) - len(collection.usable)
    return {
        "gates.index.min_per_class": max(2, min(MIN_PER_CLASS, *sizes)),
        "gates.index.max_imbalance": float(max(2, math.ceil(max(sizes) / min(sizes)))),
        "gates.shards.max_quarantined": min(1.0, max(0.02, math.ceil(200 * bad / len(collection.looks)) / 100)),
        **{f"gates.{stage}.min_accuracy": accuracy for stage in CLASSIFIERS},
    }


def _epochs(train: int, gpu: bool) -> dict[str, Any]:
    """As many epochs of `train` images as make the STEPS of each training."""
    tree = read(preset_text(LARGE if gpu else PRESET))
    batches = {stage: tree[stage]["training"]["batch"] for stage in STEPS}
    return {
        f"{stage}.training.epochs": max(1, math.ceil(steps[gpu] * batches[stage] / train))
        for stage, steps in STEPS.items()
    }
