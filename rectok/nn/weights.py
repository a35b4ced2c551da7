"""Weights on disk: safetensors, written atomically and loaded strictly."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from rectok.errors import UserError
from rectok.files import replacing

DRAWS: set[object] = {
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.erfinv_,
    init.normal_,
    init.uniform_,
    init.kaiming_uniform_,
    init.xavier_uniform_,
}


class Undrawn(TorchFunctionMode):
    """A context in which the weights of new networks are zero instead of random, for those that a file will fill.

    To draw those of a large network takes ten seconds.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if function in DRAWS:
            with torch.no_grad():
                return (args[0] if args else named["tensor"]).zero_()
        return function(*args, **named)


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to `path`, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=dict(metadata or {}))


def load_weights(module: nn.Module, path: Path) -> None:
    """Load `path` into `module`. Raises UserError naming the first tensor that is missing, left over or of another size."""
    assign_weights(module, read_weights(path, str(path)), str(path))


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of `path`, which errors call `name`. Raises UserError when it is not a whole safetensors file."""
    path.stat()  # its FileNotFoundError names the file, that of safetensors does not
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{name} is damaged or not a safetensors file ({error})") from None


def assign_weights(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Copy `weights` into `module` strictly; `name` says in errors where they come from."""
    check_weights(module.state_dict(), weights, name)
    module.load_state_dict(dict(weights), strict=True)


def check_weights(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str) -> None:
    """Raise UserError where `weights` have not the names and shapes of `expected`, a model's state."""
    for key in expected:
        if key not in weights:
            raise UserError(f"{name} lacks the tensor {key}, which this model needs; was it made with other sizes?")
    for key, tensor in weights.items():
        if key not in expected:
            raise UserError(
                f"{name} holds the tensor {key}, which this model does not have; was it made with other sizes?"
            )
        if tensor.shape != expected[key].shape:
            raise UserError(
                f"{name}: tensor {key} has shape {list(tensor.shape)}, but this model needs {list(expected[key].shape)}; "
                "the checkpoint is of other sizes"
            )
