"""Changes to the text of params.yaml that leave its comments, order and layout alone."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

LONGEST_LINE = 4096
"""So that no line is folded."""


def edited(text: str, changes: Mapping[str, Any]) -> str:
    """The YAML `text` with the values of `changes` (dotted names of keys that are there) put in."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = LONGEST_LINE
    tree = yaml.load(text)
    for name, value in changes.items():
        *sections, key = name.split(".")
        place = tree
        for section in sections:
            place = place[section]
        _put(place, key, value)
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _put(place: Any, key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for inner, deeper in value.items():
            _put(place[key], inner, deeper)
    else:
        place[key] = DoubleQuotedScalarString(value) if isinstance(value, str) else value
