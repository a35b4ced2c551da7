"""Typed, frozen parameters: read a file with `load`, a preset with `preset_text`.

The schema, and pydantic with it, is imported where parameters are validated: half of the time of `rectok --help`.
"""

from typing import TYPE_CHECKING, Any

from rectok.params.loading import load, parse
from rectok.params.presets import preset_names, preset_text

if TYPE_CHECKING:
    from rectok.params.schema import Params

__all__ = ["Params", "load", "parse", "preset_names", "preset_text"]


def __getattr__(name: str) -> Any:
    if name != "Params":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rectok.params.schema import Params

    return Params
