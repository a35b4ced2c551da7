"""A published checkpoint as an artefact of ours, and a network ready for use from a folder or a checkpoint file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from rectok.artifacts import DATA, missing, write_json
from rectok.dit.model import DiTDH, load_dit
from rectok.errors import UserError
from rectok.files import replacing_folder
from rectok.interop.published import ModelConfig, to_ours
from rectok.interop.reading import Kind, Published, Which, read_published, source_record
from rectok.interop.sizes import Heads, dit_config, tokenizer_config
from rectok.nn.weights import assign_weights, save_weights
from rectok.pipeline.judged import require_artifact
from rectok.storage.hashing import sha256_file
from rectok.tokenizer.kinds import build_tokenizer, load_tokenizer
from rectok.tokenizer.model import Tokenizer

M = TypeVar("M", bound=nn.Module)
FILES = ("model.safetensors", "config.json")


@dataclass(frozen=True)
class Converted:
    """A published network in our names: `weights` are still mapped from the file `source`."""

    source: Path
    published: Published
    config: ModelConfig
    weights: Mapping[str, Tensor]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.numel() for tensor in self.weights.values())


def convert(source: Path, kind: Kind | None, which: Which, heads: Heads | None) -> Converted:
    """Read, measure and rename the checkpoint `source`, which may name its kind. Raises UserError for what does not fit."""
    published = read_published(source, kind, which)
    config: ModelConfig
    if published.config is not None and heads is None:
        config = published.config
    elif published.kind == "tokenizer":
        config = tokenizer_config(published.tensors, published.teacher, heads, str(source))
    else:
        config = dit_config(published.tensors, str(source))
    weights = to_ours(config, published.tensors, published.teacher, str(source))
    return Converted(source, published, config, weights)


def keep(converted: Converted, folder: Path) -> str:
    """Write `folder`, whole or not at all; the sha256 of its weights."""
    with replacing_folder(folder) as temporary:
        save_weights(temporary / "model.safetensors", converted.weights)
        write_json(temporary / "config.json", converted.config.model_dump())
        write_json(temporary / "source.json", source_record(converted.source, converted.published))
    return sha256_file(folder / "model.safetensors")


def open_tokenizer(path: Path, heads: Heads | None = None) -> Tokenizer:
    """The tokenizer in the folder or file `path`, frozen and in eval mode. A file does not say how many heads it has."""
    if not path.is_file():
        return load_tokenizer(require_network(path))
    return _built(build_tokenizer, convert(path, "tokenizer", "ema", heads))


def open_dit(path: Path) -> DiTDH:
    """The generator, or autoguidance model, in the folder or file `path`, frozen and in eval mode."""
    if not path.is_file():
        return load_dit(require_network(path))
    return _built(DiTDH, convert(path, "dit", "ema", None))


def _built(build: Callable[[Any], M], converted: Converted) -> M:
    network = build(converted.config)
    assign_weights(network, converted.weights, str(converted.source))
    return network.eval().requires_grad_(False)


def require_network(folder: Path) -> Path:
    """`folder`. Raises UserError where it does not hold a network, or another than its gate passed."""
    for name in FILES:
        require_file(folder / name)
    require_artifact(folder)
    return folder


def require_file(path: Path) -> None:
    """Raises UserError where there is no file `path`."""
    if not path.exists():
        raise UserError(missing(path) if path.is_relative_to(DATA) else f"{path} does not exist")
    if path.is_dir():
        raise UserError(f"{path} is a folder, but must be a file")
