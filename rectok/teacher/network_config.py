"""Which network, from where, and how to feed it."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config

AUTO = "auto"
"""The value of `mean` and `std` that takes timm's own."""
TIMM, TORCH_FIDELITY = "timm", "torch-fidelity"
"""Values of `weights` that leave the download to a library."""


class NetworkConfig(Config):
    """A timm network and the preprocessing it expects; a metric network may be torch-fidelity's `inception-v3-compat`.

    `weights` is empty (train it here on the train split), `timm` or `torch-fidelity` (that library's own download), or a
    path or s3:// URI of a safetensors file (of torch-fidelity's .pth for its Inception). `sha256` is empty only where there
    is no such file. `image_size` is the side that images are resized to. `options` goes to timm.create_model.
    `mean` and `std` normalise pixels in [0, 1]; `auto` takes those that timm records for the network.
    """

    name: str
    options: dict[str, int | float | bool | str | tuple[int, ...]]
    image_size: int = Field(gt=0, le=2**14)
    mean: tuple[float, float, float] | Literal["auto"]
    std: tuple[float, float, float] | Literal["auto"]
    weights: str
    sha256: str
    licence: str

    @model_validator(mode="after")
    def _knows_what_it_loads(self) -> Self:
        if self.weights not in ("", TIMM, TORCH_FIDELITY) and not self.sha256:
            raise ValueError(
                f"sha256 is empty, but weights {self.weights} need it (64 hex digits, as sha256sum prints)"
            )
        return self

    @model_validator(mode="after")
    def _divides_by_its_deviation(self) -> Self:
        if isinstance(self.std, tuple) and any(value <= 0 for value in self.std):
            raise ValueError(f"std {list(self.std)} must be above 0")
        return self


class ClassifierTraining(Config):
    """How a proxy teacher or metric network is trained on the train split, with a one-cycle learning rate that peaks at `lr`.

    `sgd` has Nesterov's momentum, which the cycle moves between 0.95 and 0.85. The training lasts `epochs`, and as many more
    as make `min_steps` steps.
    """

    optimizer: Literal["adamw", "sgd"]
    epochs: int = Field(gt=0)
    min_steps: int = Field(ge=0, le=2**40)
    batch: int = Field(gt=0, le=2**20)
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)
    crop_padding: int = Field(ge=0, le=2**10)

    def epochs_of(self, images: int) -> int:
        """Epochs of whole batches of `images` images."""
        return max(self.epochs, math.ceil(self.min_steps / self.epoch_steps(images)))

    def epoch_steps(self, images: int) -> int:
        """Steps of one epoch."""
        return images // min(self.batch, images)


FeatureStorage = Literal["int8", "float16", "online"]
