"""A tiny project in a temporary folder: the digits preset cut down until every stage takes a second or two."""

import importlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from rectok.artifacts import SHARDED
from rectok.checks.run import run as run_gate
from rectok.params import Params, preset_text
from rectok.params.loading import validated

BLOCKS = {"width": 16, "depth": 1, "heads": 2}
SHORT = {"epochs": 2, "min_steps": 0, "batch": 32, "micro_batch": 32, "checkpoint_every": 2, "log_every": 1}
UNLEARNT: dict[str, Any] = {
    "gates.tokenizer": {"min_psnr": 0.0, "min_semantic_cosine": -1.0, "min_latent_std": 0.0},
    "gates.decoder.max_psnr_loss": 10.0,
    "gates.statistics.min_std": 1e-6,
    "gates.statistics.max_collapsed": 1.0,
    "gates.dit": {"max_loss_ratio": 10.0, "min_sample_std": 0.0},
    "gates.autoguidance": {"max_loss_ratio": 10.0, "min_sample_std": 0.0},
    "gates.reconstruction": {"min_psnr": 0.0, "max_rfid": 1e6},
}
"""Gates that let through what has learnt nothing."""
TINY: dict[str, Any] = {
    "index.limit": 150,
    "index.split": {"val": 0.2, "test": 0.3},
    "image.size": 16,
    "teacher.network.options": {"channels": [8, 8, 8, 16], "output_stride": 8},
    "teacher.network.image_size": 16,
    "teacher.training.epochs": 1,
    "teacher.training.min_steps": 0,
    "metric_network.network.name": "resnet10t",
    "metric_network.network.options": {"channels": [8, 8, 16, 16]},
    "metric_network.network.image_size": 32,
    "metric_network.training.epochs": 1,
    "metric_network.training.min_steps": 0,
    "tokenizer.sizes.patch": 4,
    "tokenizer.sizes.channels": 4,
    "tokenizer.sizes.encoder": BLOCKS,
    "tokenizer.sizes.decoder": BLOCKS,
    "tokenizer.sizes.semantic.transformer": BLOCKS,
    "dit.sizes": {"encoder": BLOCKS, "head": BLOCKS},
    "autoguidance.sizes": {"encoder": BLOCKS, "head": BLOCKS},
    "probe": {"times": [0.0, 0.5], "split": "test", "per_class": 0, "batch": 64, "regularisation": 1.0, "views": 1},
    "generation.per_class": 4,
    "generation.sampler.points": 3,
    "nightly.per_class": 4,
    "nightly.noise.parts": 2,
    # Nothing this small learns anything: the thresholds only let the run through.
    "gates.index.min_per_class": 2,
    "gates.index.max_imbalance": 10.0,
    "gates.index.drift.sampled": 50,
    "gates.teacher.min_accuracy": 0.0,
    "gates.metric_network.min_accuracy": 0.0,
    **UNLEARNT,
    "gates.probe": {"at": 0.5, "min_accuracy": 0.0},
    "gates.generation": {"min_accuracy": 0.0, "min_accuracy_guided": 0.0, "max_gfid": 1e6},
    **{
        f"{stage}.training.{key}": value
        for stage in ("tokenizer", "decoder", "dit", "autoguidance")
        for key, value in SHORT.items()
    },
}


@lru_cache
def _preset(name: str) -> str:
    return json.dumps(YAML(typ="safe", pure=True).load(preset_text(name)))


@lru_cache
def _tiny() -> str:
    return changed("digits", TINY)


def preset(name: str) -> Any:
    """The parameters of a preset, to be changed, and then validated without reading YAML, which takes as long as a test."""
    return json.loads(_preset(name))


def overridden(changes: dict[str, Any]) -> str:
    """The tiny parameters with `changes` (dotted names) on top, as text."""
    return json.dumps(tiny_tree(changes), indent=1)


def tiny(**changes: Any) -> Params:
    """The tiny parameters with changes; two underscores stand for a dot."""
    return parameters({name.replace("__", "."): value for name, value in changes.items()})


def parameters(changes: dict[str, Any]) -> Params:
    """The tiny parameters with `changes` (dotted names)."""
    return validated(tiny_tree(changes), "params.yaml")


def changed(base: str, changes: dict[str, Any]) -> str:
    """A preset with `changes` (dotted names), as text."""
    return json.dumps(changed_tree(base, changes), indent=1)


def changed_tree(base: str, changes: dict[str, Any]) -> Any:
    """A preset with `changes` (dotted names), to be validated without reading YAML."""
    return _with(preset(base), changes)


def tiny_tree(changes: dict[str, Any]) -> Any:
    """The tiny parameters with `changes` (dotted names), to be validated without reading YAML."""
    return _with(json.loads(_tiny()), changes)


def _with(tree: Any, changes: dict[str, Any]) -> Any:
    for name, value in changes.items():
        section, *path = name.split(".")
        parent, key = tree, section
        for step in path:
            parent, key = parent[key], step
        assert key in parent, f"there is no parameter {name}"
        parent[key] = json.loads(json.dumps(value))  # shared by no other section
    return tree


def write_params(folder: Path, changes: dict[str, Any] | None = None) -> Params:
    """Write the tiny params.yaml into `folder` and return what it says."""
    text = overridden(changes or {})
    (folder / "params.yaml").write_text(text)
    for watched in ("raw", "baseline"):
        (folder / "data" / watched).mkdir(parents=True, exist_ok=True)
        (folder / "data" / watched / "README.md").touch()
    return validated(json.loads(text), "params.yaml")


def run_stages(params: Params, *stages: str) -> None:
    """Stages of the current folder, each with its gate after it, shard by shard where it has shards."""
    for stage in stages:
        module = importlib.import_module(f"rectok.stages.{stage}")
        for shard in params.index.shards if stage in SHARDED else [None]:
            module.run(params, *([shard] if shard else []))
            run_gate(stage, params, shard)
