"""Changes parameters by their dotted names, in the text of a params.yaml or in a record."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from rectok.errors import UserError
from rectok.params.loading import nearest_parameter, validated
from rectok.params.schema import Params

LONGEST_LINE = 4096
"""So that no line is folded."""


def edited(text: str, values: Mapping[str, Any]) -> str:
    """`text` with other values for the dotted names in `values`; comments stay. Raises UserError for an unknown name."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = LONGEST_LINE
    tree = yaml.load(text)
    _assign(tree, values)
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def changed(params: Params, values: Mapping[str, Any]) -> Params:
    """`params` with other values for the dotted names in `values`. Raises UserError as for a file that says so."""
    tree = params.model_dump(mode="json")
    _assign(tree, values)
    return validated(tree, "params")


def _assign(tree: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        *path, key = name.split(".")
        section = tree
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        if not isinstance(section, dict) or key not in section:
            raise UserError(f"unknown parameter {name}; {nearest_parameter(name)}")
        _put(section, key, value)


def _put(section: Any, key: str, value: Any) -> None:
    """A mapping changes the keys that are there; where it has others, it replaces the section whole."""
    old = section[key]
    if value and isinstance(value, Mapping) and isinstance(old, Mapping) and value.keys() <= old.keys():
        for inner, deeper in value.items():
            _put(old, inner, deeper)
    else:
        section[key] = DoubleQuotedScalarString(value) if isinstance(value, str) else value
