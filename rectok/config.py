"""The base of every typed, frozen configuration."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen record without defaults: a preset must be complete, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
