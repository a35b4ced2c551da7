"""Sizes of a transformer."""

from typing import Self

from pydantic import Field, model_validator

from rectok.config import Config


class TransformerConfig(Config):
    """A stack of pre-norm blocks: `width` channels, `depth` blocks, `heads` attention heads."""

    width: int = Field(gt=0, le=2**16)
    depth: int = Field(gt=0, le=2**10)
    heads: int = Field(gt=0, le=2**10)

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    @model_validator(mode="after")
    def _fits_rotary(self) -> Self:
        if self.width % (4 * self.heads):
            raise ValueError(
                f"width {self.width} with {self.heads} heads does not fit: the 2-D rotary embedding needs a head width "
                f"that is a multiple of 4, so width must be a multiple of {4 * self.heads}"
            )
        return self
