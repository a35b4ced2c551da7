"""Networks that nobody trained, where stages and commands look for them."""

from pathlib import Path
from typing import TypeVar

from torch import nn

from rectok.artifacts import DATA, write_json
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.nn.weights import save_weights
from rectok.params import Params
from rectok.tokenizer.model import Tokenizer

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
