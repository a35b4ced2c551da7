"""DiT^DH as an artefact: config.json beside model.safetensors."""

from pathlib import Path

from rectok.artifacts import read_json
from rectok.dit.config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.nn.weights import load_weights


def load_dit(folder: Path) -> DiTDH:
    """The generator kept in `folder`, frozen and in eval mode."""
    model = DiTDH(DiTConfig.model_validate(read_json(folder / "config.json")))
    load_weights(model, folder / "model.safetensors")
    return model.eval().requires_grad_(False)
