"""Checkpoint files of the released implementation: which tensors they hold, without running what is in them."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rectok.artifacts import config_of
from rectok.config import Config
from rectok.errors import UserError
from rectok.interop.published import SEMANTIC, ModelConfig
from rectok.json_records import parse_json
from rectok.nn.weights import read_weights
from rectok.storage.hashing import sha256_file

Kind = Literal["tokenizer", "dit", "autoguidance"]
Which = Literal["ema", "plain"]
ENTRY: dict[Which, str] = {"ema": "model_ema", "plain": "model"}
"""Where the released implementation keeps the average and the last weights."""
OURS = "rectok"
"""Where a file that `rectok export` wrote holds the JSON of a Description."""
SIGN = {"tokenizer": "encoder.patch_embed.0.weight", "dit": "x_embedder.proj.weight"}
"""A tensor that tells a published tokenizer, or a generator or autoguidance model, from anything else."""
TEACHER = "sem_foundation_models."
"""Before the names of the frozen teacher, which the released implementation saves in every tokenizer checkpoint."""


class Description(Config):
    """Which kind of network a file holds, and how to build it, which published files do not say."""

    kind: Kind
    config: ModelConfig


@dataclass(frozen=True)
class Published:
    """Memory-mapped tensors by their published names, from the part `entry` of the file, empty where it held nothing else.

    `dropped` names the frozen teacher's tensors; `teacher` is that of the semantic decoder, empty for generators. `config` is
    None where the file does not say it.
    """

    kind: Kind
    config: ModelConfig | None
    tensors: Mapping[str, Tensor]
    entry: str
    dropped: tuple[str, ...]
    teacher: str


def read_published(path: Path, kind: Kind | None, which: Which) -> Published:
    """The weights of `path`, a `.pth` or safetensors file, of the `kind` that the file describes if none is given.

    Raises UserError when they are not those of such a network.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    tree: Mapping[str, Any] = read_weights(path, str(path)) if path.suffix == ".safetensors" else _unpickled(path)
    description = _description(path, tree)
    kind = kind or (description.kind if description else None)
    if kind is None:
        raise UserError(f"{path} does not say what it holds; add --kind tokenizer, dit or autoguidance")
    entry, state = _state(path, tree, which)
    dropped = tuple(key for key in state if key.startswith(TEACHER)) if kind == "tokenizer" else ()
    tensors = {key: tensor for key, tensor in state.items() if key not in set(dropped)}
    _check_kind(path, kind, tensors)
    teacher = _teacher(path, tensors) if kind == "tokenizer" else ""
    return Published(kind, description.config if description else None, tensors, entry, dropped, teacher)


def source_record(path: Path, published: Published) -> dict[str, Any]:
    """Where an imported network comes from, for source.json."""
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        "weights": published.entry or "the only ones",
        "teacher": published.teacher,
        "dropped": list(published.dropped),
    }


def _description(path: Path, tree: Mapping[str, Any]) -> Description | None:
    if not isinstance(text := tree.get(OURS), str):
        return None
    name = f"the entry {OURS} of {path}"
    return config_of(parse_json(text.encode(), name), Description, name)


def _state(path: Path, tree: Mapping[str, Any], which: Which) -> tuple[str, Mapping[str, Tensor]]:
    if _is_state(tree):
        return "", tree
    entries = [entry for entry in ENTRY.values() if _is_state(tree.get(entry))]
    if ENTRY[which] not in entries:
        other = f"; it has {entries[0]}, so choose the other --weights" if entries else ""
        raise UserError(f"{path} holds no weights under the key {ENTRY[which]}{other}")
    return ENTRY[which], tree[ENTRY[which]]


def _unpickled(path: Path) -> Mapping[str, Any]:
    """The tree of a torch.save file; tensors stay on the disk until they are read."""
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} holds more than tensors, numbers and text; code in a checkpoint is never run, so save its weights alone"
        ) from None
    except (RuntimeError, ValueError, EOFError, KeyError):
        raise UserError(f"{path} is damaged or not a checkpoint as torch.save writes it (a zip archive)") from None
    if not isinstance(tree, Mapping):
        raise UserError(f"{path} holds a {type(tree).__name__} instead of a mapping with the key {ENTRY['ema']}")
    return tree


def _is_state(tree: Any) -> bool:
    return (
        isinstance(tree, Mapping)
        and bool(tree)
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in tree.items())
    )


def _check_kind(path: Path, kind: Kind, tensors: Mapping[str, Tensor]) -> None:
    part = "tokenizer" if kind == "tokenizer" else "dit"
    if SIGN[part] in tensors:
        return
    for other, sign in SIGN.items():
        if sign in tensors:
            raise UserError(f"{path} is a {other}, but --kind is {kind}; use --kind {other}")
    raise UserError(f"{path} is no published {kind}: it lacks the tensor {SIGN[part]}")


def _teacher(path: Path, tensors: Mapping[str, Tensor]) -> str:
    names = sorted({key.split(".")[1] for key in tensors if key.startswith(SEMANTIC)})
    if len(names) != 1:
        listed = f" ({', '.join(names)})" if names else ""
        raise UserError(
            f"{path} holds semantic decoders of {len(names)} teachers{listed}, but a tokenizer here has exactly one"
        )
    return names[0]
