"""Sizes of DiT^DH."""

from pydantic import Field

from rectok.config import Config
from rectok.nn.transformer_config import TransformerConfig


class DiTSizes(Config):
    """A deep, narrow encoder and a shallow, wide head (the "DH" of DiT^DH, RAE, arXiv 2510.11690)."""

    encoder: TransformerConfig
    head: TransformerConfig


class DiTConfig(Config):
    """Everything needed to build DiT^DH: the latent is `channels` × `grid` × `grid`."""

    grid: int = Field(gt=0)
    channels: int = Field(gt=0)
    classes: int = Field(gt=0)
    sizes: DiTSizes

    @property
    def tokens(self) -> int:
        """Tokens of a latent."""
        return self.grid**2
