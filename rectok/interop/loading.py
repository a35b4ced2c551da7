"""A network ready for use, from a folder of ours or from a checkpoint file."""

from pathlib import Path

from rectok.artifacts import DATA, missing
from rectok.dit.dit_config import DiTConfig
from rectok.dit.loading import load_dit
from rectok.dit.model import DiTDH
from rectok.errors import UserError
from rectok.interop.importing import convert
from rectok.interop.sizes import Heads
from rectok.nn.weights import assign_weights
from rectok.tokenizer.loading import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from rectok.tokenizer.tokenizer_config import TokenizerConfig

FILES = ("model.safetensors", "config.json")


def open_tokenizer(path: Path, heads: Heads | None = None) -> Tokenizer:
    """The tokenizer in the folder or file `path`, frozen and in eval mode. A file does not say how many heads it has."""
    if not path.is_file():
        return load_tokenizer(require_network(path))
    converted = convert(path, "tokenizer", "ema", heads)
    assert isinstance(converted.config, TokenizerConfig)
    tokenizer = Tokenizer(converted.config)
    assign_weights(tokenizer, converted.weights, str(path))
    return tokenizer.eval().requires_grad_(False)


def open_dit(path: Path) -> DiTDH:
    """The generator, or autoguidance model, in the folder or file `path`, frozen and in eval mode."""
    if not path.is_file():
        return load_dit(require_network(path))
    converted = convert(path, "dit", "ema", None)
    assert isinstance(converted.config, DiTConfig)
    dit = DiTDH(converted.config)
    assign_weights(dit, converted.weights, str(path))
    return dit.eval().requires_grad_(False)


def require_network(folder: Path) -> Path:
    """`folder`. Raises UserError where it does not hold a network."""
    for name in FILES:
        require_file(folder / name)
    return folder


def require_file(path: Path) -> None:
    """Raises UserError where there is no file `path`."""
    if not path.exists():
        raise UserError(missing(path) if path.is_relative_to(DATA) else f"{path} does not exist")
