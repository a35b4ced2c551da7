"""The base of every typed, frozen configuration, and what is wrong with one in words."""

import re
from reprlib import repr as shortened

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """A frozen record without defaults: a preset must be complete, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def first_mistake(error: ValidationError) -> str:
    """The first mistake that pydantic found, as a clause that names its key."""
    first = error.errors()[0]
    key, words = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if expected := re.fullmatch(r"\w+ should (.*)", words, re.DOTALL):
        return f"{key or 'it'} is {shortened(first['input'])}, but must {expected[1]}"
    return f"{key}: {words[:1].lower()}{words[1:]}" if key else words
