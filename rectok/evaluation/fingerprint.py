"""One short hash of everything that decides whether metrics compare: networks, images, counts and how both were used.

What is measured is left out: weights of tokenizer and generator, seeds, and the sizes of batches. No torch here.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rectok.artifacts import DATA, config_file, read_json, shard_table, summary_file, within
from rectok.storage.hashing import fingerprint as fingerprint_of_files
from rectok.storage.hashing import sha256_file

if TYPE_CHECKING:
    from rectok.evaluation.evaluation_config import GenerationConfig
    from rectok.teacher.network_config import NetworkConfig

FINGERPRINT = "fingerprint"
"""Its name in a protocol."""
DIGITS = 12
NETWORK = ("name", "options", "image_size", "mean", "std")
UNCOMPARED = {"batch", "per_class", "reference", "spaces"}
"""Parameters of `generation` that change no metric, or that enter a fingerprint by what they name."""


def fingerprint(**parts: Any) -> str:
    """DIGITS hex digits of `parts`, which JSON can hold."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def images_of(shards: Iterable[str]) -> str:
    """A hash of the images of all splits, with their labels."""
    return fingerprint_of_files([shard_table(shard) for shard in shards])


def metric_network_of(source: Path = DATA) -> dict[str, Any]:
    """The sha256 of the metric network's weights in `source`, and what it does with images before."""
    config = read_json(within(source, config_file("metric_network")))["network"]
    summary = read_json(within(source, summary_file("metric_network")))
    return {"sha256": summary["sha256"], **{name: config[name] for name in NETWORK}}


def described_spaces(spaces: "Iterable[NetworkConfig]") -> list[dict[str, Any]]:
    """What decides about the features in each of the spaces."""
    return [space.model_dump(mode="json", include={*NETWORK, "sha256"}) for space in spaces]


def generation_fingerprint(
    config: "GenerationConfig", shards: Iterable[str], floor: str, per_class: int, source: Path = DATA
) -> str:
    """Of `per_class` samples of every class of the generator in `source`; the split `floor` is the floor."""
    return fingerprint(
        metric_network=metric_network_of(source),
        classes=read_json(within(source, config_file("dit")))["classes"],
        generation=config.model_dump(mode="json", exclude=UNCOMPARED),
        spaces=described_spaces(config.spaces),
        per_class=per_class,
        reference=sha256_file(Path(config.reference)) if config.reference else "",
        floor=floor,
        images=images_of(shards),
    )
