"""Typed, frozen parameters: read a file with `load`, a preset with `preset_text`."""

from rectok.params.loading import load, parse
from rectok.params.presets import preset_names, preset_text
from rectok.params.schema import Params

__all__ = ["Params", "load", "parse", "preset_names", "preset_text"]
