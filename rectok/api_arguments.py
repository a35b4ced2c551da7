"""What the Python API is called with, in the form that the networks take it. Whatever else it gets is a UserError.

Shapes: B images, H side, N tokens, C latent channels.
"""

import operator
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rectok.data.bad_image import BadImage, damage_makes_bad_images
from rectok.data.image_decoding import centre_crop
from rectok.errors import UserError
from rectok.interop.sizes import Heads
from rectok.train.world import device_named

Images = Image.Image | Sequence[Image.Image] | NDArray[np.uint8] | Tensor
T = TypeVar("T")
ARRAYS = (np.uint8, np.float16, np.float32, np.float64)
MAX_PIXELS = 200_000_000
MOST = 2**63 - 1
"""The largest whole number of torch, and so the largest seed."""


def whole(name: str, value: Any, low: int = -MOST, high: int = MOST) -> int:
    """The whole number `value` from `low` to `high`, of Python, NumPy or torch."""
    try:
        number = operator.index(value)
    except TypeError:
        raise UserError(f"{name} is {_shown(value)}, but must be a whole number") from None
    if not low <= number <= high:
        raise UserError(f"{name} is {number}, but must be at {f'least {low}' if number < low else f'most {high}'}")
    return number


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """The two things in `value`."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise UserError(f"{name} is {_shown(value)}, but must be two numbers such as (0.0, 1.0)") from None
    return first, second


def instance(name: str, value: Any, kind: type[T]) -> T:
    """`value`, which must be a `kind`."""
    if not isinstance(value, kind):
        raise UserError(f"{name} is {_shown(value)}, but must be a {kind.__name__}")
    return value


def path(name: str, value: Any) -> Path:
    """The path `value`."""
    if not isinstance(value, str | Path):
        raise UserError(f"{name} is {_shown(value)}, but must be a path")
    return Path(value)


def heads(value: Any) -> Heads | None:
    """Attention heads of encoder, pixel decoder and semantic decoder."""
    if value is None:
        return None
    counts = list(value) if isinstance(value, list | tuple) else []
    if len(counts) != 3:
        raise UserError(f"heads is {_shown(value)}, but must be three whole numbers such as (12, 12, 4)")
    return Heads(*(whole("heads", count, 1, 2**16) for count in counts))


def device(value: Any) -> torch.device:
    """The device that auto, cpu or cuda is here."""
    try:
        chosen = torch.device(device_named(str(value)))
    except RuntimeError:  # torch knows no such device
        chosen = torch.device("meta")
    if chosen.type not in ("cpu", "cuda"):
        raise UserError(f"device is {_shown(value)}, but must be auto, cpu or cuda")
    return chosen


def pixels(images: Any, side: int) -> Tensor:
    """uint8, or float in [0, 1], [B, 3, side, side]; B is at least 1. PIL images are cropped and scaled to `side`."""
    given = images
    if isinstance(images, Image.Image):
        images = [images]
    if isinstance(images, list | tuple) and images and all(isinstance(each, Image.Image) for each in images):
        images = np.stack([_cropped(f"images[{number}]", image, side) for number, image in enumerate(images)])
    if isinstance(images, np.ndarray) and images.dtype in ARRAYS and images.ndim in (3, 4):
        images = torch.from_numpy(images.copy()).reshape(-1, *images.shape[-3:]).movedim(-1, 1)
    if not (_are_tensors(images, (3, side, side)) and (images.dtype == torch.uint8 or images.is_floating_point())):
        raise UserError(
            f"images {_described(given)}, but must be PIL images, uint8 arrays [B, {side}, {side}, 3], or uint8 or float "
            f"tensors [B, 3, {side}, {side}], at least one of them"
        )
    if images.is_floating_point() and not ((images >= 0) & (images <= 1)).all():
        raise UserError("float images must hold numbers from 0 to 1; divide those of 0 to 255 by 255")
    return images  # type: ignore[no-any-return]


def latents(value: Any, tokens: int, channels: int) -> Tensor:
    """float [B, N, C] for N = `tokens` and C = `channels`; B is at least 1."""
    if not (_are_tensors(value, (tokens, channels)) and value.is_floating_point()):
        raise UserError(
            f"latents {_described(value)}, but must be a float tensor [B, {tokens}, {channels}], B at least 1"
        )
    return value.float()  # type: ignore[no-any-return]


def _are_tensors(value: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) > 0 and tuple(value.shape[1:]) == shape


def _cropped(name: str, image: Image.Image, side: int) -> NDArray[np.uint8]:
    if 0 in image.size:
        raise UserError(f"{name} is {image.width}×{image.height} pixels large, but must have some")
    try:
        with damage_makes_bad_images():
            return np.asarray(centre_crop(image.convert("RGB"), side, MAX_PIXELS))
    except BadImage as bad:
        raise UserError(f"{name} cannot be used: {bad}") from None


def _described(value: Any) -> str:
    """The shape and type of an array or tensor; others as they are written in Python."""
    if isinstance(value, np.ndarray | Tensor):
        return f"have shape {list(value.shape)} and type {value.dtype}"
    return f"are {_shown(value)}"


def _shown(value: Any) -> str:
    """`value` in Python, on one line and cut short."""
    return " ".join(reprlib.repr(value).split())
