"""What a model card says of what is exported: what it is, how it came about, how good it is and by whose measure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from rectok.artifacts import DATA, passed_file, read_json, shard_table, stage_dir, summary_file, within
from rectok.data.tables import read_table
from rectok.dit.dit_config import DiTConfig
from rectok.interop.exporting import Network
from rectok.interop.published import ModelConfig
from rectok.interop.reading import Kind
from rectok.pipeline import lock
from rectok.pipeline.damage import md5_of
from rectok.reporting.summary import MetricRow, made, metric_rows, read_summary
from rectok.sampling.generator import Generator
from rectok.tokenizer.tokenizer_config import TokenizerConfig

Exported = Kind | Literal["generator"]
"""A network, or a generator with its tokenizer and all else that sampling needs."""
EVALUATIONS: dict[Exported, tuple[str, ...]] = {
    "tokenizer": ("reconstruction", "probe"),
    "dit": ("generation",),
    "autoguidance": (),
    "generator": ("reconstruction", "probe", "generation"),
}
METHODS = {
    "rectok": "a RecTok (arXiv 2512.13421)",
    "rae": "a representation autoencoder (arXiv 2510.11690, 2605.18324)",
    "vae": "a variational autoencoder",
    "published": "an autoencoder in the layout of diffusers",
}
"""Kinds of tokenizers for people."""


@dataclass(frozen=True)
class Part:
    """A network, or a part of one that was trained by itself; `parameters` is 0 for those that another part counts."""

    title: str
    parameters: int
    history: str

    @property
    def size(self) -> str:
        """How many numbers it has, to follow the title."""
        return f" ({self.parameters / 1e6:.3g} M numbers in all tensors)" if self.parameters else ""


@dataclass(frozen=True)
class Helper:
    """Another network that this one leans on: its role, what it is (a proxy says so), and its licence if known."""

    role: str
    described: str
    licence: str


@dataclass(frozen=True)
class Facts:
    """What is known of what is exported; `method` is that of its tokenizer, empty where it has none."""

    kind: Exported
    sizes: str
    method: str
    parts: Sequence[Part]
    helpers: Sequence[Helper]
    metrics: Sequence[MetricRow]
    protocol: Mapping[str, Mapping[str, Any]]


def network_facts(network: Network, folder: Path, of_pipeline: bool) -> Facts:
    """The facts of the network in `folder`. Metrics and helpers are those of the pipeline only where it made the network."""
    data = folder.parent if of_pipeline else None
    if data is not None and network.kind == "tokenizer":
        parts = _tokenizer_parts(network.weights, network.config, data)
    else:
        distinct = distinct_images(data) if data is not None else None
        parts = [Part("The network", _numbers(network.weights), _history(folder, distinct))]
    return _facts(network.kind, _sizes(network.config), _method(network.config), parts, data)


def generator_facts(generator: Generator, data: Path) -> Facts:
    """The facts of the generator whose parts lie below `data`, with metrics and helpers where that is the pipeline's."""
    dit, tokenizer = generator.dit.config, generator.tokenizer
    distinct = distinct_images(data)
    networks = {
        "dit": ("The generator", generator.dit),
        "autoguidance": ("The autoguidance model", generator.autoguidance),
    }
    parts = [
        *_tokenizer_parts(tokenizer.state_dict(), tokenizer.config, data),
        *(
            Part(title, _numbers(network.state_dict()), _history(within(data, stage_dir(stage)), distinct))
            for stage, (title, network) in networks.items()
            if network is not None
        ),
    ]
    sizes = f"{_sizes(tokenizer.config)}, {dit.classes} classes"
    return _facts("generator", sizes, _method(tokenizer.config), parts, data)


def distinct_images(data: Path) -> int | None:
    """Packed images of the training split below `data`; None where their tables are not all there."""
    index = within(data, summary_file("index"))
    names = read_json(index)["shards"] if index.exists() else []
    tables = [within(data, shard_table(name)) for name in names]
    if not tables or not all(table.exists() for table in tables):
        return None
    splits: list[list[str]] = [read_table(table)["split"].to_pylist() for table in tables]
    return sum(split.count("train") for split in splits)


def _tokenizer_parts(weights: Mapping[str, Tensor], config: ModelConfig, data: Path) -> list[Part]:
    """The tokenizer of the stage of that name, its encoder where that is the teacher, and its pixel decoder where the stage
    `decoder` trained that further."""
    distinct = distinct_images(data)
    parts = [Part("The tokenizer", _numbers(weights), _history(within(data, stage_dir("tokenizer")), distinct))]
    if isinstance(config, TokenizerConfig) and config.teacher is not None:
        teacher = config.teacher.network
        frozen = (
            f"the frozen teacher {teacher.name}, whose weights are among these, under its licence ({teacher.licence})"
        )
        parts.append(Part("Its encoder", 0, frozen))
    if _record(within(data, summary_file("decoder"))).get("trained"):
        parts.append(Part("Its pixel decoder, after that", 0, _history(within(data, stage_dir("decoder")), distinct)))
    return parts


def _history(folder: Path, distinct: int | None) -> str:
    """How the network in `folder` came about, as the rest of a sentence about it."""
    if source := _record(folder / "source.json"):
        teacher = f", distilled from {source['teacher']}, as the checkpoint names it" if source["teacher"] else ""
        checkpoint = f"`{source['file']}` (sha256 `{source['sha256']}`; weights: `{source['weights']}`)"
        return f"imported from the published checkpoint {checkpoint}{teacher}"
    summary = _record(folder / "summary.json")
    if not summary:
        return "nothing is recorded about its training"
    if not summary["trained"]:
        return f"not trained in this project; the weights were taken from `{summary['source']}`"
    images = f"{summary['images']} images" + (f", drawn from {distinct} distinct ones" if distinct else "")
    perceptual = f", with the perceptual loss {summary['perceptual']}" if "perceptual" in summary else ""
    return (
        f"trained in this project for {summary['steps']} steps on {images}{perceptual}; these are the exponential moving "
        f"averages of the weights, and the last training loss was {summary['final_loss']:.4g}"
    )


def _facts(kind: Exported, sizes: str, method: str, parts: Sequence[Part], data: Path | None) -> Facts:
    """`data` is the folder whose stages made it. Metrics and helpers are known of this project's only."""
    stages = _evaluated(EVALUATIONS[kind]) if data == DATA else []
    summary = read_summary(stages)
    helpers = _helpers("teacher", *(["metric_network"] if stages else [])) if data == DATA else ()
    rows = metric_rows(summary.metrics, summary.networks)
    return Facts(kind, sizes, method, parts, list(helpers), rows, summary.protocol)


def _evaluated(stages: Iterable[str]) -> list[str]:
    """Those that measured what lies there now, as far as dvc.lock says: what a gate passed later has other hashes."""
    records = lock.read()

    def current(dependency: lock.Locked) -> bool:
        path = Path(dependency.path)
        return not path.is_relative_to(passed_file("")) or (path.exists() and md5_of(path) == dependency.md5)

    return [stage for stage in made(stages) if stage not in records or all(map(current, records[stage].deps))]


def _helpers(*roles: str) -> Iterator[Helper]:
    """The networks that served the project in these roles, proxies in words."""
    for role in roles:
        if summary_file(role).exists():
            record = read_json(summary_file(role))
            yield Helper(
                f"{role.replace('_', ' ').capitalize()}", record["proxy"] or record["network"], record["licence"]
            )


def _record(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _numbers(weights: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in weights.values())


def _method(config: ModelConfig) -> str:
    return METHODS[config.kind] if isinstance(config, TokenizerConfig) else ""


def _sizes(config: ModelConfig) -> str:
    if isinstance(config, DiTConfig):
        return f"Latents of {config.channels} channels on {config.grid}×{config.grid} tokens, {config.classes} classes"
    side, channels = config.image_size, config.sizes.channels
    return f"Images of {side}×{side} pixels, {config.grid}×{config.grid} tokens of {channels} channels"
