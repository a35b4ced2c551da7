"""The tokenizer as an artefact: config.json beside model.safetensors."""

from pathlib import Path

from rectok.artifacts import read_config
from rectok.nn.weights import load_weights
from rectok.tokenizer.config import TokenizerConfig
from rectok.tokenizer.model import Tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer kept in `folder`, frozen and in eval mode."""
    config = read_config(folder / "config.json", TokenizerConfig)
    tokenizer = Tokenizer(config)
    load_weights(tokenizer, folder / "model.safetensors")
    return tokenizer.eval().requires_grad_(False)
