"""Networks that nobody trained, where stages and commands look for them."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from rectok.artifacts import DATA, write_json
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.nn.weights import save_weights
from rectok.params import Params
from rectok.tokenizer.model import Tokenizer, ViTTokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import parameters

Network = TypeVar("Network", bound=nn.Module)


def keep(stage: str, network: Tokenizer | DiTDH, data: Path = DATA) -> None:
    """Weights and configuration as the stage leaves them."""
    save_weights(data / stage / "model.safetensors", network.state_dict())
    write_json(data / stage / "config.json", network.config.model_dump())


def drawn(network: Network, std: float = 0.2) -> Network:
    """With every weight random: much begins as zero, where mistakes stay unseen."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std)
    return network


def generator(params: Params) -> DiTDH:
    """The generator of `params` for 10 classes of tiny latents, as training begins."""
    return DiTDH(DiTConfig(grid=4, channels=4, classes=10, sizes=params.dit.sizes))


def random_generator(data: Path) -> Path:
    """All that sampling needs, laid out as data/ is, with random weights. The head is wider, as in published ones."""
    params = parameters({"dit.sizes.head": {"width": 32, "depth": 1, "heads": 2}})
    torch.manual_seed(0)
    keep("decoder", drawn(ViTTokenizer(tokenizer_config(params, 8)), 0.3), data)
    for name in ("dit", "autoguidance"):
        keep(name, drawn(generator(params), 0.3), data)
    channels = params.tokenizer.sizes.channels
    write_json(data / "statistics" / "statistics.json", {"mean": [0.5] * channels, "std": [2.0] * channels})
    return data
