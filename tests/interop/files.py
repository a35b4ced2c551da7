"""Checkpoint files as the released implementation writes them: the referee's weights, or its key lists without content."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rectok.dit.dit_config import DiTConfig, DiTSizes
from rectok.interop.published import tables
from rectok.interop.sizes import Heads
from rectok.nn.transformer_config import TransformerConfig
from tests.reference import record, tensors

HEADS = Heads(4, 4, 2)
"""Of the referee's tokenizer."""
ENCODERS = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16), "xl": (1152, 28, 16)}


def checkpoint(path: Path, weights: dict[str, Tensor], plain: dict[str, Tensor] | None = None, **rest: Any) -> Path:
    """A `.pth` of averaged weights, perhaps with the last ones, among the other things that are saved."""
    tree = {"model_ema": weights, "epoch": 79, "optimizer": {"state": {0: torch.zeros(2)}, "lr": 1e-4}, **rest}
    torch.save(tree if plain is None else {**tree, "model": plain}, path)
    return path


def tokenizer(path: Path, **changes: Tensor | None) -> Path:
    """The referee's tokenizer with `changes` to its tensors (None takes one away)."""
    return checkpoint(path, changed(tensors("tokenizer.weights"), changes))


def generator(path: Path, name: str = "dit", **changes: Tensor | None) -> Path:
    """The referee's DiT^DH, or its autoguidance model, which it names "guide"."""
    return checkpoint(path, changed(tensors(f"{name}.weights"), changes))


def changed(weights: dict[str, Tensor], changes: dict[str, Tensor | None]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in {**weights, **changes}.items() if tensor is not None}


def with_teacher(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The frozen teacher beside the tokenizer."""
    prefix = "sem_foundation_models.dinov3."
    return {**weights, f"{prefix}norm.weight": torch.ones(3), f"{prefix}layer.0.mlp.up_proj.weight": torch.ones(3, 2)}


def full_config(size: str) -> DiTConfig:
    width, depth, heads = ENCODERS[size]
    encoder = TransformerConfig(width=width, depth=depth, heads=heads)
    sizes = DiTSizes(encoder=encoder, head=TransformerConfig(width=2048, depth=2, heads=16))
    return DiTConfig(grid=16, channels=128, classes=1000, sizes=sizes)


def empty(name: str) -> dict[str, Tensor]:
    """All tensors of a published key list, each of them one number seen many times."""
    return {key: torch.zeros(1).expand(shape) for key, shape in record(f"{name}.keys.json").items()}


def full_generator(path: Path, size: str) -> Path:
    """A published generator in its full size, with its tables and no other content."""
    return checkpoint(path, {**empty(f"DiTDDT_{size}_ch128"), **tables(full_config(size))})
