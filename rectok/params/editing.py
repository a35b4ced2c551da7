"""Changes parameters by their dotted names, in the text of a params.yaml or in a record."""

import io
import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from rectok.errors import UserError
from rectok.params.loading import PARAMS_FILE, nearest_parameter, tree_of, validated

if TYPE_CHECKING:
    from rectok.params.schema import Params

LONGEST_LINE = 1_000_000
"""So that ruamel folds no line."""
SHARDS = re.compile(r"^( *)shards: \[(.{100,})\]", re.MULTILINE)


def edited(text: str, values: Mapping[str, Any]) -> str:
    """`text` with other values for the dotted names in `values`; comments stay. Raises UserError for an unknown name."""
    tree = read(text)
    _assign(tree, {name: _quoted(value) for name, value in values.items()})
    return dumped(tree)


def changed(params: "Params", values: Mapping[str, Any]) -> "Params":
    """`params` with other values for the dotted names in `values`. Raises UserError as for a file that says so."""
    tree = params.model_dump(mode="json")
    _assign(tree, values)
    return validated(tree, "params")


def settings_in(texts: Iterable[str]) -> dict[str, Any]:
    """The values of `KEY=VALUE` texts by dotted name, where VALUE is YAML. Raises UserError."""
    values = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise UserError(f"--set {text} must be KEY=VALUE, as in --set machine.compile=true")
        values[name] = tree_of(value, f"--set {name}", YAML(typ="safe", pure=True))
    return values


def shard_names(count: int) -> CommentedSeq:
    """The value of `index.shards` for `count` shards: a list of names, since DVC's foreach takes no number."""
    names = CommentedSeq(DoubleQuotedScalarString(f"{number:05d}") for number in range(count))
    names.fa.set_flow_style()
    return names


def read(text: str, name: str = str(PARAMS_FILE)) -> Any:
    """The YAML 1.2 in `text`, with its comments and quotes, for `dumped`. Raises UserError where it is none."""
    return tree_of(text, name, _yaml())


def dumped(tree: Any) -> str:
    """`tree` as text, with the comments and quotes that it was read with."""
    out = io.StringIO()
    _yaml().dump(tree, out)
    return SHARDS.sub(_rows, out.getvalue())


def put(section: Any, key: str, value: Any) -> None:
    """A mapping changes the keys that are there; where it has others, it replaces the section whole."""
    old = section[key]
    if value and isinstance(value, Mapping) and isinstance(old, Mapping) and value.keys() <= old.keys():
        for inner, deeper in value.items():
            put(old, inner, deeper)
    else:
        section[key] = value


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = LONGEST_LINE
    return yaml


def _assign(tree: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        *path, key = name.split(".")
        section = tree
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        if not isinstance(section, dict) or key not in section:
            raise UserError(f"unknown parameter {name}; {nearest_parameter(name)}")
        put(section, key, value)


def _quoted(value: Any) -> Any:
    """`value` with its texts in quotes, so that none reads like a number."""
    if isinstance(value, Mapping):
        return {key: _quoted(inner) for key, inner in value.items()}
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value


def _rows(match: "re.Match[str]") -> str:
    """A long list of shards in rows."""
    outer, names = match.groups()
    rows = textwrap.indent(textwrap.fill(f"{names},", 110), f"{outer}    ")
    return f"{outer}shards:\n{outer}  [\n{rows}\n{outer}  ]"
