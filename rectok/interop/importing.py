"""A published checkpoint as an artefact of ours: model.safetensors, config.json and source.json in one folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rectok.artifacts import write_json
from rectok.files import replacing_folder
from rectok.interop.published import ModelConfig, to_ours
from rectok.interop.reading import Kind, Published, Which, read_published, source_record
from rectok.interop.sizes import Heads, dit_config, tokenizer_config
from rectok.nn.weights import save_weights
from rectok.storage.hashing import sha256_file


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


def convert(source: Path, kind: Kind, which: Which, heads: Heads | None) -> Converted:
    """Read, measure and rename the checkpoint `source`. Raises UserError for anything that does not fit."""
    published = read_published(source, kind, which)
    config: ModelConfig
    if kind == "tokenizer":
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
