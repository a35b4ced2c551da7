"""The model card of an exported network: what it is, how it came about, how good it is and by whose measure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from rectok.artifacts import read_json, summary_file
from rectok.dit.dit_config import DiTConfig
from rectok.interop.exporting import Network
from rectok.interop.published import ModelConfig
from rectok.interop.reading import Kind
from rectok.reporting.summary import MetricRow, made, metric_rows, read_summary

TITLES = {
    "tokenizer": "RecTok tokenizer",
    "dit": "DiT^DH generator",
    "autoguidance": "DiT^DH autoguidance model for AutoGuidance",
}
TAGS = {
    "tokenizer": ("image-tokenizer", "autoencoder"),
    "dit": ("image-generation", "flow-matching", "diffusion-transformer"),
    "autoguidance": ("autoguidance", "flow-matching", "diffusion-transformer"),
}
LOADERS = {
    "tokenizer": "rectok.tokenizer.kinds import load_tokenizer",
    "dit": "rectok.dit.model import load_dit",
    "autoguidance": "rectok.dit.model import load_dit",
}
CARD = """\
---
library_name: rectok
license: other
tags: [rectok{% for tag in tags %}, {{ tag }}{% endfor %}]
---

# {{ title }}

{{ facts.sizes }}; {{ "%.1f" | format(facts.parameters / 1e6) }} M numbers in all tensors. The method is RecTok
(arXiv 2512.13421){% if facts.kind != "tokenizer" %} with the generator of RAE (arXiv 2510.11690){% endif %}.

```python
from pathlib import Path

from {{ loader }}

model = {{ loader.split()[-1] }}(Path("."))
```

## How it came about

{% if facts.source %}
Imported from the published checkpoint `{{ facts.source.file }}` (sha256 `{{ facts.source.sha256 }}`; weights:
`{{ facts.source.weights }}`).
{% elif facts.training and not facts.training.trained %}
Not trained in this project: the weights were taken from `{{ facts.training.source }}`.
{% elif facts.training %}
Trained in this project for {{ facts.training.steps }} steps on {{ facts.training.images }} images; these are the exponential
moving averages of the weights. The last training loss was {{ "%.4g" | format(facts.training.final_loss) }}.
{% else %}
Nothing is recorded about its training.
{% endif %}
{% for helper in facts.helpers %}
- {{ helper.role }}: {{ helper.described }}{% if helper.licence %} (licence: {{ helper.licence }}){% endif %}

{% endfor %}
## Evaluation

{% if facts.metrics %}
Metrics of other metric networks, sample counts or references cannot be compared with these.

| metric | value | better | computed by |
|---|---|---|---|
{% for metric in facts.metrics %}
| {{ metric.title }} | {{ metric.value }} | {{ metric.better }} | {{ metric.network }} |
{% endfor %}
{% for stage, items in facts.protocol.items() %}

Protocol of the {{ stage }}:

{% for name, value in items.items() %}
- {{ name | replace("_", " ") }}: {{ value }}
{% endfor %}
{% endfor %}
{% else %}
It has not been evaluated here.
{% endif %}

## Licence

Whoever passes these weights on answers for the terms of the images and of the networks above that they were learnt from.
"""
EVALUATIONS: dict[Kind, tuple[str, ...]] = {
    "tokenizer": ("reconstruction", "probe"),
    "dit": ("generation",),
    "autoguidance": (),
}


@dataclass(frozen=True)
class Helper:
    """Another network that this one leans on: its role, what it is (a proxy says so), and its licence if known."""

    role: str
    described: str
    licence: str


@dataclass(frozen=True)
class Facts:
    """What is known of a network. `training` and `source` are the stage's records, empty where there are none."""

    kind: Kind
    sizes: str
    parameters: int
    training: Mapping[str, Any]
    source: Mapping[str, Any]
    helpers: Sequence[Helper]
    metrics: Sequence[MetricRow]
    protocol: Mapping[str, Mapping[str, Any]]


def render(facts: Facts) -> str:
    """The card as Markdown, with the YAML header that Hugging Face's hub reads."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(CARD)
    return template.render(facts=facts, title=TITLES[facts.kind], tags=TAGS[facts.kind], loader=LOADERS[facts.kind])


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
            title = f"{role.replace('_', ' ')} of this project"
            yield Helper(title, record["proxy"] or record["network"], record["licence"])
    if training.get("perceptual"):
        yield Helper("perceptual loss", training["perceptual"], "")
