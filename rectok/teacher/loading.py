"""Vision networks as artefacts: config.json beside model.safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from rectok.artifacts import read_json, write_json
from rectok.nn.weights import load_weights, save_weights
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


class Described(Protocol):
    """A network that knows how it was built, and how many classes it tells apart."""

    config: NetworkConfig
    classes: int


def save_network(folder: Path, network: VisionNetwork, provenance: Mapping[str, str]) -> None:
    """Write weights (in timm's key names), how to build the network, and where it comes from."""
    save_weights(folder / WEIGHTS, network.trunk.state_dict())
    save_config(folder, network, provenance)


def save_config(folder: Path, network: Described, provenance: Mapping[str, str]) -> None:
    """Write how to build the network whose weights lie in `folder`, and where they come from."""
    config = network.config.model_dump(mode="json")
    write_json(folder / CONFIG, {"network": config, "classes": network.classes, "provenance": dict(provenance)})


def load_network(folder: Path) -> VisionNetwork:
    """The network kept in `folder`, frozen. Raises UserError for a tensor missing, left over or of another size."""
    record = read_json(folder / CONFIG)
    config = NetworkConfig.model_validate_json(json.dumps(record["network"]))  # JSON mode: a list is a tuple there
    network = VisionNetwork(config, record["classes"])
    load_weights(network.trunk, folder / WEIGHTS)
    return network.frozen()
