"""Reads params.yaml, and turns every mistake in it into one sentence."""

import difflib
import json
import types
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rectok.errors import UserError
from rectok.params.schema import Params

PARAMS_FILE = Path("params.yaml")


def load(path: Path = PARAMS_FILE) -> Params:
    """The validated parameters of `path`. Raises UserError naming the key at fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; write it with `rectok init digits`") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Params:
    """The validated parameters in the YAML 1.2 `text` (as DVC reads it: 1e-4 is a number); `name` is for messages."""
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{name} must hold a mapping of sections, not {type(tree).__name__}")
    try:
        # JSON mode keeps types strict, yet lets a YAML list become a tuple and a whole number a float.
        return Params.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise UserError(f"{name}: {_sentence(error)}") from None


def preset_names() -> list[str]:
    """Names that `rectok init` takes."""
    return sorted(p.name.removesuffix(".yaml") for p in _presets().iterdir() if p.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """The YAML text of a preset. Raises UserError with the nearest name."""
    if name not in preset_names():
        raise UserError(f"there is no preset {name!r}; {_nearest(name, preset_names())}")
    return (_presets() / f"{name}.yaml").read_text(encoding="utf-8")


def _presets() -> Traversable:
    return resources.files("rectok.params") / "presets"


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown parameter {key}; {_nearest(key, field_names(Params))}"
    if first["type"] == "missing":
        return f"parameter {key} is missing"
    if first["type"] == "value_error":
        return f"{key + ': ' if key else ''}{first['ctx']['error']}"
    return f"parameter {key} is {first['input']!r}, but it must satisfy: {first['msg'].lower()}"


def _nearest(name: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)
    return f"the nearest valid name is {close[0]}"


def field_names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all fields of `model` and of the models inside it."""
    names = []
    for name, field in model.model_fields.items():
        names.append(prefix + name)
        inner = field.annotation
        candidates = get_args(inner) if isinstance(inner, types.UnionType) else (inner,)
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                names += field_names(candidate, f"{prefix}{name}.")
    return names
