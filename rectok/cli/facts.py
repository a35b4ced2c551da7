"""What a model card says of a network, gathered from the records that the stages left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rectok.artifacts import metrics_file, read_json, summary_file
from rectok.dit.config import DiTConfig
from rectok.evaluation.display import FIGURES, written
from rectok.evaluation.records import Record, read_record
from rectok.interop.card import Facts, Figure, Helper
from rectok.interop.exporting import Network
from rectok.interop.published import ModelConfig
from rectok.interop.reading import Kind

EVALUATIONS: dict[Kind, tuple[str, ...]] = {
    "tokenizer": ("reconstruction", "probe"),
    "dit": ("generation",),
    "guide": (),
}


def facts_of(kind: Kind, folder: Path, network: Network, of_pipeline: bool) -> Facts:
    """The facts of the network in `folder`. Figures and helpers are those of the pipeline only where it made the network."""
    training = _record(folder / "summary.json")
    source = _record(folder / "source.json")
    stages = [stage for stage in EVALUATIONS[kind] if of_pipeline and metrics_file(stage).exists()]
    records = {stage: read_record(stage) for stage in stages}
    return Facts(
        kind=kind,
        sizes=_sizes(network.config),
        parameters=sum(tensor.numel() for tensor in network.weights.values()),
        training=training,
        source=source,
        helpers=list(_helpers(training, source, bool(records), of_pipeline)),
        figures=[figure for record in records.values() for figure in _figures(record)],
        protocol={stage: dict(record.protocol) for stage, record in records.items()},
    )


def _record(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _sizes(config: ModelConfig) -> str:
    if isinstance(config, DiTConfig):
        return f"Latents of {config.channels} channels on {config.grid}×{config.grid} tokens, {config.classes} classes"
    side, channels = config.image_size, config.sizes.channels
    return f"Images of {side}×{side} pixels, {config.grid}×{config.grid} tokens of {channels} channels"


def _helpers(training: dict[str, Any], source: dict[str, Any], evaluated: bool, of_pipeline: bool) -> Iterator[Helper]:
    """Teacher, judge and perceptual network, stand-ins in words."""
    if source.get("teacher"):
        yield Helper("distilled teacher", f"{source['teacher']}, as the checkpoint names it", "")
    for role, wanted in (("teacher", of_pipeline), ("judge", evaluated)):
        if wanted and summary_file(role).exists():
            found = read_json(summary_file(role))
            yield Helper(f"{role} of this project", found["stand_in"] or found["network"], found["licence"])
    if training.get("perceptual"):
        yield Helper("perceptual loss", training["perceptual"], "")


def _figures(record: Record) -> Iterator[Figure]:
    for name, shown in FIGURES.items():
        if name in record.figures:
            value = written(name, record.figures[name])
            yield Figure(shown.title, value, shown.better.split()[0], record.networks[name])
    for point in record.figures.get("probe", ()):
        title = f"Linear probe at t = {point['t']:g}"
        yield Figure(title, f"{point['accuracy']:.1%}", "higher", record.networks["probe"])
