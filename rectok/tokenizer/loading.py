"""The tokenizer as an artefact: config.json beside model.safetensors."""

from pathlib import Path

from rectok.artifacts import read_config
from rectok.nn.weights import load_weights
from rectok.tokenizer.model import Tokenizer
from rectok.tokenizer.tokenizer_config import TokenizerConfig


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer kept in `folder`, frozen and in eval mode."""
    config = read_config(folder / "config.json", TokenizerConfig)
    tokenizer = Tokenizer(config)
    load_weights(tokenizer, folder / "model.safetensors")
    return tokenizer.eval().requires_grad_(False)
