"""Reads the files of checkpoints without running code that they may hold: who may write a bucket must not run code here."""

import pickle
from pathlib import Path
from typing import Any

import torch

from rectok.errors import UserError


def load_weights_only(path: Path | str, map_location: Any = None, *, mmap: bool = False) -> Any:
    """What torch.save wrote to `path`: tensors, plain containers, and the types that DeepSpeed stores under ZeRO.

    With `mmap`, tensors are read when they are used. Raises UserError for anything else, which is not built, and for a damaged
    file.
    """
    with torch.serialization.safe_globals(_zero_types()):
        try:
            return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
        except pickle.UnpicklingError:
            raise UserError(
                f"checkpoint file {path} holds more than tensors and settings; code in a checkpoint is never run, so remove "
                "that checkpoint"
            ) from None
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, EOFError, KeyError, ValueError, TypeError, AttributeError):
            raise UserError(f"checkpoint file {path} is damaged; remove that checkpoint") from None


def _zero_types() -> list[Any]:
    """All that DeepSpeed 0.19 pickles beside tensors and containers, for every ZeRO stage and precision."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, ZeroStageEnum, fragment_address]
