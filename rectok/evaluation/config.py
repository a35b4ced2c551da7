"""What is measured, on how much, and with which sampler."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config

INCEPTION = "inception-v3-compat"
"""Name of the judge that published figures are computed with (rectok/evaluation/inception.py)."""


class GuidanceConfig(Config):
    """v_ref + scale·(v − v_ref) inside t ∈ [low, high]; v_ref is unconditional (`cfg`) or the guide's (`autoguidance`)."""

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
    points: int = Field(gt=1)


class GenerationConfig(Config):
    """gFID protocol: `per_class` EMA samples of every class, unguided and guided."""

    per_class: int = Field(gt=0)
    batch: int = Field(gt=0)
    sampler: SamplerConfig
    guidance: GuidanceConfig
    rounding: Literal["round", "truncate"]
    reference: str = Field(description="npz with mu and sigma, or empty for the train split")
    neighbours: int = Field(gt=0, description="k of precision and recall")


class ReconstructionConfig(Config):
    """rFID, PSNR, SSIM and LPIPS on the whole `split`."""

    batch: int = Field(gt=0)
    rounding: Literal["round", "truncate"]
    split: Literal["val", "test"]


class ProbeConfig(Config):
    """Linear probe on mean-pooled x_t at each of `times`, tested on the images of `split`."""

    times: tuple[float, ...]
    split: Literal["val", "test"]
    per_class: int = Field(ge=0, description="training images of every class; 0 takes all")
    batch: int = Field(gt=0)
    regularisation: float = Field(gt=0, description="inverse strength C of scikit-learn's logistic regression")
    views: int = Field(gt=0, description="noise draws per training image")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if not self.times or any(not 0 <= t < 1 for t in self.times):
            raise ValueError(f"times {list(self.times)} must lie in [0, 1)")
        return self
