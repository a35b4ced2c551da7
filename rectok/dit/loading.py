"""DiT^DH as an artefact: config.json beside model.safetensors."""

from pathlib import Path

from rectok.artifacts import read_config
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.nn.weights import load_weights


def load_dit(folder: Path) -> DiTDH:
    """The generator kept in `folder`, frozen and in eval mode."""
    model = DiTDH(read_config(folder / "config.json", DiTConfig))
    load_weights(model, folder / "model.safetensors")
    return model.eval().requires_grad_(False)
