"""How samples are drawn: the ODE solver and guidance."""

from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from rectok.config import Config, first_mistake
from rectok.errors import UserError

GuidanceKind = Literal["cfg", "autoguidance", "internal"]
C = TypeVar("C", bound=Config)


class GuidanceConfig(Config):
    """v_ref + scale·(v − v_ref) inside t ∈ [low, high].

    v_ref is unconditional (`cfg`), the weak model's (`autoguidance`) or that of an inner block (`internal`, arXiv 2512.24176).
    """

    kind: GuidanceKind
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
    """ODE solver over `points` time points (points − 1 steps).

    The encoder of DiT^DH runs at every `encoder_every`-th step, and the steps between use its last condition (DDT, arXiv
    2504.05741, section 3.4). 1 is exact; more is faster and changes the samples. So does `fp8`, with which the products of
    its blocks compute in 8-bit floats.
    """

    method: Literal["euler", "heun"]
    points: int = Field(gt=1, le=2**16)
    encoder_every: int = Field(gt=0, le=2**16, description="steps that share one pass of the encoder; 1 shares none")
    fp8: bool = Field(description="products in 8-bit floats, on a GPU of the Hopper generation or later")

    @property
    def evaluations(self) -> int:
        """How often it asks for the velocity: Heun asks twice in every step but its last."""
        steps = self.points - 1
        return 2 * steps - 1 if self.method == "heun" else steps

    @model_validator(mode="after")
    def _shares_steps_of_euler(self) -> Self:
        if self.encoder_every > 1 and self.method == "heun":
            raise ValueError(
                f"encoder_every {self.encoder_every} shares the encoder between steps of euler, but method is heun; "
                "set method to euler, or encoder_every to 1"
            )
        if self.encoder_every >= self.points:
            raise ValueError(
                f"encoder_every {self.encoder_every} must be below points {self.points}, or the encoder sees noise alone"
            )
        return self


class SamplingConfig(Config):
    """How a generator samples where nothing else is asked for, and the names of its `classes` by label, empty where unknown.

    `rounding` is that of pixels to whole levels.
    """

    classes: tuple[str, ...]
    sampler: SamplerConfig
    guidance: GuidanceConfig
    rounding: Literal["round", "truncate"]


UNGUIDED = SamplingConfig(
    classes=(),
    sampler=SamplerConfig(method="euler", points=50, encoder_every=1, fp8=False),
    guidance=GuidanceConfig(kind="cfg", scale=1.0, low=0.0, high=1.0),
    rounding="round",
)
"""Of networks that come without settings."""


def asked_for(config: type[C], /, **values: Any) -> C:
    """The settings that a call asks for. Raises UserError, which names the first value at fault."""
    try:
        return config(**values)
    except ValidationError as error:
        raise UserError(first_mistake(error)) from None
