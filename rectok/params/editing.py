"""Changes parameters by their dotted names in the text of a params.yaml, whose comments stay."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from rectok.errors import UserError
from rectok.params.loading import nearest_parameter


def changed(text: str, changes: Mapping[str, Any]) -> str:
    """`text` with the parameter of each dotted name set anew. Raises UserError for a name that is not there."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    tree = yaml.load(text)
    for name, value in changes.items():
        section, key = _parent(tree, name)
        section[key] = value
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _parent(tree: Any, name: str) -> tuple[Any, str]:
    *path, key = name.split(".")
    section = tree
    for step in path:
        section = section.get(step) if isinstance(section, dict) else None
    if not isinstance(section, dict) or key not in section:
        raise UserError(f"unknown parameter {name}; {nearest_parameter(name)}")
    return section, key
