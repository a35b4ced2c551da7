"""What a model card says of a network, gathered from the records that the stages left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rectok.artifacts import read_json, summary_file
from rectok.dit.dit_config import DiTConfig
from rectok.interop.exporting import Network
from rectok.interop.published import ModelConfig
from rectok.interop.reading import Kind
from rectok.reporting.display import metric_rows
from rectok.reporting.model_card import Facts, Helper
from rectok.reporting.summary import made, read_summary

EVALUATIONS: dict[Kind, tuple[str, ...]] = {
    "tokenizer": ("reconstruction", "probe"),
    "dit": ("generation",),
    "autoguidance": (),
}


def facts_of(kind: Kind, folder: Path, network: Network, of_pipeline: bool) -> Facts:
    """The facts of the network in `folder`. Metrics and helpers are those of the pipeline only where it made the network."""
    training = _record(folder / "summary.json")
    source = _record(folder / "source.json")
    evaluated = made(EVALUATIONS[kind]) if of_pipeline else []
    summary = read_summary(evaluated)
    return Facts(
        kind=kind,
        sizes=_sizes(network.config),
        parameters=sum(tensor.numel() for tensor in network.weights.values()),
        training=training,
        source=source,
        helpers=list(_helpers(training, source, bool(evaluated), of_pipeline)),
        metrics=metric_rows(summary.metrics, summary.networks),
        protocol=summary.protocol,
    )


def _record(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _sizes(config: ModelConfig) -> str:
    if isinstance(config, DiTConfig):
        return f"Latents of {config.channels} channels on {config.grid}×{config.grid} tokens, {config.classes} classes"
    side, channels = config.image_size, config.sizes.channels
    return f"Images of {side}×{side} pixels, {config.grid}×{config.grid} tokens of {channels} channels"


def _helpers(training: dict[str, Any], source: dict[str, Any], evaluated: bool, of_pipeline: bool) -> Iterator[Helper]:
    """Teacher, metric network and perceptual network, proxies in words."""
    if source.get("teacher"):
        yield Helper("distilled teacher", f"{source['teacher']}, as the checkpoint names it", "")
    for role, shown in (("teacher", of_pipeline), ("metric_network", evaluated)):
        if shown and summary_file(role).exists():
            record = read_json(summary_file(role))
            yield Helper(
                f"{role.replace('_', ' ')} of this project", record["proxy"] or record["network"], record["licence"]
            )
    if training.get("perceptual"):
        yield Helper("perceptual loss", training["perceptual"], "")
