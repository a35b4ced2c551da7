"""Our networks as the released implementation's `.pth`."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rectok.artifacts import read_config
from rectok.dit.dit_config import DiTConfig
from rectok.errors import UserError
from rectok.files import replacing
from rectok.interop.loading import require_network
from rectok.interop.published import ModelConfig, skeleton, to_published
from rectok.interop.reading import ENTRY, OURS, Description, Kind
from rectok.nn.weights import check_weights, read_weights
from rectok.tokenizer.tokenizer_config import TokenizerConfig


@dataclass(frozen=True)
class Network:
    """A network of ours as its folder holds it: `weights` that are used, and those of the last step where they were kept."""

    kind: Kind
    config: ModelConfig
    weights: dict[str, Tensor]
    raw: dict[str, Tensor] | None


def read_network(folder: Path, kind: Kind) -> Network:
    """The network in `folder`. Raises UserError where it is no whole network of this kind, or another than its gate passed."""
    require_network(folder)
    config: ModelConfig
    if kind == "tokenizer":
        config = read_config(folder / "config.json", TokenizerConfig)
    else:
        config = read_config(folder / "config.json", DiTConfig)
    raw = folder / "raw.safetensors"
    weights = _tensors(folder / "model.safetensors", config)
    return Network(kind, config, weights, _tensors(raw, config) if raw.exists() else None)


def write_checkpoint(network: Network, path: Path, teacher: str) -> None:
    """Write the `.pth` that the released implementation loads: `model_ema`, and `model` where it was kept.

    Beside them it holds a description, which it does not read, and with which `rectok import` needs no option.
    """
    _require_published(network.config)
    parts = {ENTRY["ema"]: network.weights}
    if network.raw is not None:
        parts[ENTRY["plain"]] = network.raw
    # Copies, since torch.save would write the whole mapped file with every tensor.
    tree = {
        entry: {key: tensor.clone() for key, tensor in to_published(network.config, weights, teacher).items()}
        for entry, weights in parts.items()
    }
    description = Description(kind=network.kind, config=network.config).model_dump_json()
    with replacing(path) as temporary:
        torch.save({**tree, OURS: description}, temporary)


def _require_published(config: ModelConfig) -> None:
    """Raise UserError for a generator that the released implementation cannot hold."""
    if isinstance(config, DiTConfig) and (config.internal or config.prediction != "v"):
        raise UserError(
            "the published format knows no generator with dit.internal.block above 0 or dit.prediction x; export it with "
            "--format hub"
        )


def _tensors(path: Path, config: ModelConfig) -> dict[str, Tensor]:
    """The tensors of `path`, which must be those of the network of `config`."""
    weights = read_weights(path, str(path))
    check_weights(skeleton(config), weights, str(path))
    return weights
