"""Presets: base.yaml has a value for every parameter, and each preset's file shows only what differs.

A preset's file names the one that it `builds_on`. Its comment above a key, or behind a value, replaces the one that was
there. `index.shards` is a count in these files; the text of a preset lists the names.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from ruamel.yaml.comments import CommentedMap

from rectok.errors import UserError
from rectok.params.editing import dumped, put, read, shard_names
from rectok.params.loading import nearest
from rectok.params.renamed import NEW

FOLDER = resources.files("rectok.params") / "presets"
BASE = "base"
KEY = re.compile(r"( *)(\w+):")
COMMENT = re.compile(r"(^ *|  )#.*|^\n", re.MULTILINE)


class Line(NamedTuple):
    """One line of a preset. `name` is the dotted name of the key that begins there."""

    name: str
    text: str
    above: list[str]
    behind: str


def preset_names() -> list[str]:
    """Names that `rectok init` takes."""
    names = (path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))
    return sorted(name for name in names if name != BASE)


@cache
def preset_text(name: str) -> str:
    """The YAML text of a preset, with a value for every parameter. Raises UserError with the nearest name."""
    if name not in preset_names():
        raise UserError(f"there is no preset {name!r}; {nearest(name, preset_names())}")
    return _complete(name)


def completed(text: str) -> tuple[str, dict[str, Any]]:
    """`text` with the parameters of NEW that it lacks, valued as in its preset, and those values. Comments stay."""
    tree, added = read(text), {}
    preset = tree.get("preset") if isinstance(tree, dict) else None
    defaults = read(_complete(preset if preset in preset_names() else BASE))
    for name in reversed(NEW):
        *path, key = name.split(".")
        there, values = _section(tree, path), _section(defaults, path)
        if there is not None and values is not None and key not in there:
            there.insert(min(1, len(there)), key, _without_comment(values[key]))
            added[name] = values[key]
    return dumped(tree) if added else text, dict(reversed(added.items()))


def _without_comment(value: Any) -> Any:
    """A value as it stands in a preset, but for the comments in and behind a section."""
    if not isinstance(value, CommentedMap):
        return value
    plain = CommentedMap((key, _without_comment(each)) for key, each in value.items())
    if value.fa.flow_style():
        plain.fa.set_flow_style()
    return plain


def _section(tree: Any, path: list[str]) -> CommentedMap | None:
    for name in path:
        tree = tree.get(name) if isinstance(tree, CommentedMap) else None
    return tree if isinstance(tree, CommentedMap) else None


def _complete(name: str) -> str:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    if name == BASE:
        return text
    changes = read(COMMENT.sub("", text))
    tree = read(_complete(changes.pop("builds_on")))
    for key, value in changes.items():
        put(tree, key, value)
    if isinstance(tree["index"]["shards"], int):
        tree["index"]["shards"] = shard_names(tree["index"]["shards"])
    return "".join(_commented(dumped(tree), {line.name: line for line in _lines(text)}))


def _commented(text: str, overlay: dict[str, Line]) -> Iterator[str]:
    """The lines of `text` with the comments that `overlay` has for the same keys."""
    for line in _lines(text):
        own = overlay.get(line.name, line)
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        yield from (f"{indent}{comment}\n" for comment in own.above or line.above)
        behind = line.behind if own.text.endswith(":") else own.behind
        yield f"{line.text}{behind}\n"


def _lines(text: str) -> Iterator[Line]:
    path: list[str] = []
    above: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip())
            continue
        value, mark, comment = line.partition("  # ")
        if match := KEY.match(line):
            path[len(match[1]) // 2 :] = [match[2]]
        yield Line(".".join(path) if match else "", value.rstrip(), above, mark + comment)
        above = []
