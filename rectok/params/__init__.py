"""Typed, frozen parameters: read them with `load`, write a preset with `write_preset`."""

from rectok.params.loading import load, parse, preset_names, preset_text
from rectok.params.schema import Params

__all__ = ["Params", "load", "parse", "preset_names", "preset_text"]
