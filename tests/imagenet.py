"""A short run of the preset `imagenet256`, from images to the report, with random weights where it asks for published ones.

    python -m tests.imagenet --full --out FOLDER    the preset's own sizes, on a GPU of 80 GB or more
    python -m tests.imagenet --out FOLDER           cut down to what a CPU does in a minute

The tokenizer's training is killed after a checkpoint and resumed. Every stage's gate runs after it, and asks for nothing that
has to be learnt in so few steps. The last line printed is a JSON object with seconds, peak memory, losses and figures.
"""

import argparse
import gc
import importlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from rectok import artifacts
from rectok.artifacts import TRAININGS
from rectok.checks.run import run as run_gate
from rectok.errors import UserError
from rectok.losses.perceptual import VGG_WIDTHS
from rectok.params import Params, parse
from rectok.storage.hashing import sha256_file
from rectok.train.checkpoint import STEP
from tests.evaluation.inception import write_random
from tests.project import UNLEARNT, changed
from tests.train.project import start, wait_for_checkpoint

SIDE, CLASSES, TRAIN, VAL = 256, ("a", "b"), 24, 8
"""Side of the generated images, and how many of each class fall into either split."""
STAGES = (
    "index", "shards", "teacher", "metric_network", "features", "tokenizer", "decoder", "latents", "statistics", "dit",
    "autoguidance", "reconstruction", "probe", "generation", "report",
)  # fmt: skip
ASKED: dict[str, Any] = {
    **UNLEARNT,
    "gates.index.min_per_class": TRAIN,
    "gates.probe.min_accuracy": 0.0,
    "gates.generation.max_gfid": 1e6,
}
BLOCKS = {"width": 32, "depth": 1, "heads": 2}
CUT_DOWN: dict[str, Any] = {
    "image.size": 64,
    "machine.workers": 0,
    "tokenizer.training.precision": "float32",  # convolutions in bfloat16 take many CPUs minutes
    "decoder.training.precision": "float32",
    "tokenizer.losses.perceptual.logits": 0.0,  # ConvNeXt-S takes images of 224 pixels, whatever the side
    "decoder.losses.perceptual.logits": 0.0,
    "teacher.network.image_size": 64,
    "teacher.network.options": {"embed_dim": 48, "depth": 2, "num_heads": 4},
    "tokenizer.sizes.encoder": BLOCKS,
    "tokenizer.sizes.decoder": BLOCKS,
    "tokenizer.sizes.semantic.transformer": BLOCKS,
    "dit.sizes": {"encoder": BLOCKS, "head": BLOCKS},
    "autoguidance.sizes": {"encoder": BLOCKS, "head": BLOCKS},
}


def run(folder: Path, full: bool) -> dict[str, Any]:
    """Run every stage in the new folder `folder`; what came of it."""
    folder.mkdir(parents=True)
    with chdir(folder):
        found: dict[str, Any] = {"torch": torch.__version__, "full": full, "stages": {}}
        params: Params = _measured(found, "prepare", partial(prepare, full))
        found["resumed_at_step"] = None
        for stage in STAGES:
            if stage == "tokenizer":
                found["resumed_at_step"] = _measured(found, "tokenizer, killed", partial(_killed, stage))
            _measured(found, stage, partial(_stage, stage, params))
        found["losses"] = {stage: _losses(stage) for stage in TRAININGS}
        found["parameters"] = {
            stage: artifacts.read_json(artifacts.summary_file(stage))["parameters"] for stage in TRAININGS
        }
        found["metrics"] = artifacts.read_json(artifacts.record_file("generation"))["metrics"]
    return found


def prepare(full: bool) -> Params:
    """Write images, random weights and params.yaml into the current folder."""
    _write_images()
    text = changed("imagenet256", _changes(full))
    Path("params.yaml").write_text(text)
    return parse(text, "params.yaml")


def _write_images() -> None:
    random = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        for split, count in (("train", TRAIN), ("val", VAL)):
            folder = Path("images") / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                coarse = random.integers(0, 160, (8, 8, 3)) + 95 * (np.arange(3) == label)
                Image.fromarray(coarse.astype(np.uint8)).resize((SIDE, SIDE)).save(folder / f"{i}.png")


def _changes(full: bool) -> dict[str, Any]:
    """What makes the preset short, and its weights random files of the right layout."""
    sizes = {} if full else CUT_DOWN
    side = sizes.get("image.size", SIDE)
    steps, batch = (6, 16) if full else (3, 2)
    length = {"epochs": steps * batch / (len(CLASSES) * TRAIN), "batch": batch, "micro_batch": batch}
    perceptual = _perceptual_weights()
    metric_network = write_random(Path("inception.pth"))
    options = sizes.get("teacher.network.options", {})
    np.savez("adm.npz", mu=np.zeros(2048), sigma=np.eye(2048), arr_0=np.zeros((8, side, side, 3), np.uint8))
    return {
        **sizes,
        **ASKED,
        "machine.processes": 1,
        "machine.compile": False,  # compiling takes longer than all the rest
        "index.source": "images",
        "index.watch": "images",
        "index.shards": ["00000"],
        **_file(
            "teacher.network.", "weights", _random(lambda: timm.create_model("vit_large_patch16_dinov3", **options))
        ),
        "metric_network.network.weights": metric_network.weights,
        "metric_network.network.sha256": metric_network.sha256,
        **{f"{stage}.losses.perceptual.{name}": file for stage in TRAININGS[:2] for name, file in perceptual.items()},
        **{f"{stage}.training.{name}": value for stage in TRAININGS for name, value in length.items()},
        "tokenizer.training.checkpoint_every": steps // 3,
        **{f"{stage}.training.log_every": 1 for stage in TRAININGS},
        "probe.per_class": VAL,
        "generation.per_class": 2,
        "generation.sampler.points": 4,
        "generation.neighbours": 1,
        "generation.reference": "adm.npz",
    }


def _perceptual_weights() -> dict[str, dict[str, str]]:
    vgg = _random(lambda: nn.ModuleDict({"features": make_layers(cfgs["D"], batch_norm=False)}))
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(VGG_WIDTHS)}
    files = {"vgg": vgg, "lpips_heads": heads, "convnext": _random(lambda: timm.create_model("convnext_small"))}
    return {name: _file("", "path", weights, name) for name, weights in files.items()}


def _random(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """Weights for what `build` gives, which is never built itself: matrices that keep the scale, norms that do nothing."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in build().state_dict().items()}
    return {name: _drawn(name, shape) for name, shape in shapes.items()}


def _drawn(name: str, shape: torch.Size) -> Tensor:
    if len(shape) > 1:
        return torch.empty(shape).normal_(0, math.sqrt(2 * shape[0] / shape.numel()))
    return torch.ones(shape) if name.endswith(".weight") or "gamma" in name else torch.zeros(shape)


def _file(prefix: str, key: str, weights: dict[str, Tensor], name: str = "teacher") -> dict[str, str]:
    path = Path(f"{name}.safetensors")
    save_file(weights, path)
    return {f"{prefix}{key}": str(path), f"{prefix}sha256": sha256_file(path)}


def _stage(stage: str, params: Params) -> None:
    module = importlib.import_module(f"rectok.stages.{stage}")
    shards = params.index.shards if stage in artifacts.SHARDED else (None,)
    for shard in shards:
        module.run(params, *([shard] if shard else ()))
        _gate(stage, params, shard)


def _gate(stage: str, params: Params, shard: str | None) -> None:
    """Every check but one must pass: in so few steps, on weights drawn anew for every run, a loss may rise by chance."""
    try:
        run_gate(stage, params, shard)
    except UserError:
        failed = {check.name for check in artifacts.read_report(artifacts.check_file(stage, shard)).errors}
        if failed != {"loss falls"}:
            raise


def _killed(stage: str) -> int:
    """Start the stage in a process of its own and kill it after its first checkpoint; the step of the last one."""
    # A process that is forked where CUDA has been asked for cannot use it.
    child = start(Path.cwd(), stage, python=sys.executable if torch.cuda.is_available() else "")
    try:
        wait_for_checkpoint(Path.cwd(), child, stage)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    assert not artifacts.weights_file(stage).exists(), f"{stage} was over before it could be killed"
    return max(_checkpoints(stage))


def _checkpoints(stage: str) -> list[int]:
    names = (STEP.fullmatch(path.name) for path in artifacts.state_dir(stage).glob("*/step-*"))
    return [int(match[1]) for match in names if match]


def _losses(stage: str) -> list[float]:
    header, *rows = artifacts.log_file(stage).read_text().split()
    column = header.split(",").index("total")
    return [float(row.split(",")[column]) for row in rows]


def _measured(found: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
    """Do `work`, and note its seconds and the peak of GPU memory (GiB) under `name`."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    result = work()
    found["stages"][name] = {"seconds": round(time.monotonic() - began, 2)}
    if cuda:
        found["stages"][name]["gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        gc.collect()
        torch.cuda.empty_cache()
    print(f"{name}: {found['stages'][name]}", flush=True)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the preset's own sizes")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.out, arguments.full)))
