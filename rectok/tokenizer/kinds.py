"""Tokenizers of every kind behind one interface: a new one, and one that was kept."""

from pathlib import Path

from rectok.artifacts import read_config
from rectok.nn.weights import load_weights
from rectok.tokenizer.model import Tokenizer, ViTTokenizer
from rectok.tokenizer.published import PublishedTokenizer
from rectok.tokenizer.tokenizer_config import TokenizerConfig
from rectok.tokenizer.vae import VAETokenizer


def build_tokenizer(config: TokenizerConfig) -> Tokenizer:
    """A new tokenizer of the kind that `config` names."""
    if config.kind == "rae":
        from rectok.tokenizer.rae import RAETokenizer  # timm takes seconds, which other kinds need not wait for

        return RAETokenizer(config)
    if config.kind == "published":
        return PublishedTokenizer(config)
    return VAETokenizer(config) if config.kind == "vae" else ViTTokenizer(config)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer kept in `folder`, frozen and in eval mode."""
    tokenizer = build_tokenizer(read_config(folder / "config.json", TokenizerConfig))
    load_weights(tokenizer, folder / "model.safetensors")
    return tokenizer.eval().requires_grad_(False)
