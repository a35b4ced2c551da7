"""Sizes of DiT^DH, and what it predicts."""

from typing import Literal

from pydantic import Field

from rectok.config import Config
from rectok.nn.transformer_config import TransformerConfig


class DiTSizes(Config):
    """A deep, narrow encoder and a shallow, wide head (the "DH" of DiT^DH, RAE, arXiv 2510.11690)."""

    encoder: TransformerConfig
    head: TransformerConfig


Prediction = Literal["v", "x"]
"""The velocity data − noise, or the data itself."""


class InternalConfig(Config):
    """Internal Guidance (arXiv 2512.24176): a head on encoder block number `block` predicts what the last layer predicts.

    The loss of that head has the `weight`. 0 in place of a block leaves it out.
    """

    block: int = Field(ge=0, le=2**10)
    weight: float = Field(gt=0)


class AlignmentConfig(Config):
    """REPA (arXiv 2410.06940): an MLP on encoder block number `block` predicts the teacher's features of the clean image.

    1 − cosine of both has the `weight` in the loss. 0 in place of a block leaves it out.
    """

    block: int = Field(ge=0, le=2**10)
    weight: float = Field(gt=0)


class DiTConfig(Config):
    """Everything needed to build DiT^DH: the latent is `channels` × `grid` × `grid`.

    `internal` is the number of the encoder block that has a head of its own, 0 for none. Networks of earlier versions name
    neither it nor the `prediction`.
    """

    grid: int = Field(gt=0)
    channels: int = Field(gt=0)
    classes: int = Field(gt=0)
    sizes: DiTSizes
    prediction: Prediction = "v"
    internal: int = Field(default=0, ge=0)

    @property
    def tokens(self) -> int:
        """Tokens of a latent."""
        return self.grid**2
