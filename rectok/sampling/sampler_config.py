"""How samples are drawn: the ODE solver and guidance."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config


class GuidanceConfig(Config):
    """v_ref + scale·(v − v_ref) inside t ∈ [low, high]; v_ref is unconditional (`cfg`) or the weak model's (`autoguidance`)."""

    kind: Literal["cfg", "autoguidance"]
    scale: float = Field(ge=0)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @property
    def neutral(self) -> bool:
        """Whether it changes no velocity."""
        return self.scale == 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class SamplerConfig(Config):
    """ODE solver over `points` time points (points − 1 steps)."""

    method: Literal["euler", "heun"]
    points: int = Field(gt=1, le=2**16)
