"""The model card of what is exported, as Markdown."""

from jinja2 import Environment, StrictUndefined

from rectok.reporting.model_facts import Exported, Facts

TITLES: dict[Exported, str] = {
    "tokenizer": "Image tokenizer",
    "dit": "DiT^DH generator",
    "autoguidance": "DiT^DH autoguidance model for AutoGuidance",
    "generator": "DiT^DH generator with its tokenizer",
}
GENERATOR_TAGS = ("image-generation", "flow-matching", "diffusion-transformer")
TAGS: dict[Exported, tuple[str, ...]] = {
    "tokenizer": ("image-tokenizer", "autoencoder"),
    "dit": GENERATOR_TAGS,
    "autoguidance": ("autoguidance", "flow-matching", "diffusion-transformer"),
    "generator": ("diffusers", "image-tokenizer", *GENERATOR_TAGS),
}
LOAD_DIT = """\
from pathlib import Path

from rectok.dit.model import load_dit

model = load_dit(Path("{name}"))
"""
USES: dict[Exported, str] = {
    "tokenizer": """\
from rectok import Tokenizer

tokenizer = Tokenizer.from_pretrained("{name}")
images = tokenizer.decode(tokenizer.encode(picture))
""",
    "dit": LOAD_DIT,
    "autoguidance": LOAD_DIT,
    "generator": """\
from rectok import Generator

generator = Generator.from_pretrained("{name}")
images = generator.sample(label=0, count=4)  # [4, 3, side, side] in [0, 1]

# or through diffusers, beside which rectok must be installed, too
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("{name}", trust_remote_code=True)
images = pipeline(class_labels=[0, 1, 2]).images
""",
}
CARD = """\
---
library_name: rectok
license: other
tags: [rectok{% for tag in tags %}, {{ tag }}{% endfor %}]
---

# {{ title }}

{{ facts.sizes }}.
{%- if facts.method %} The tokenizer is {{ facts.method }}.{% endif %}
{%- if facts.kind != "tokenizer" %} DiT^DH is the generator of RAE (arXiv 2510.11690).{% endif %}


```python
{{ use }}```

## How it came about

{% for part in facts.parts %}
- {{ part.title }}{{ part.size }}: {{ part.history }}.
{% endfor %}
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


def render(facts: Facts, name: str = ".") -> str:
    """The card as Markdown, with the YAML header that Hugging Face's hub reads. `name` is that of the folder or repository."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    use = USES[facts.kind].format(name=name)
    template = environment.from_string(CARD)
    return template.render(facts=facts, title=TITLES[facts.kind], tags=TAGS[facts.kind], use=use)
