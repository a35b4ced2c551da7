"""What dvc.yaml declares for one command, read without DVC, whose import costs every stage a second."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rectok.yaml_text import UNREADABLE, shared_yaml

PIPELINE, DEFAULT_FILE = Path("dvc.yaml"), "params.yaml"


@dataclass(frozen=True)
class Declared:
    """Paths of inputs and outputs, and (file, dotted name) of each parameter. All are empty where nothing is declared."""

    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()


def declared(stage: str, shard: str | None) -> Declared:
    """What dvc.yaml declares for the stage or `gate-<stage>`, of one shard where it has shards."""
    command = " ".join(["rectok", *stage.split("-", 1), *([shard] if shard else [])])
    for body in entries(_tree(PIPELINE)).values():
        filled = _of_item(body, command.rpartition(" ")[2]) if "do" in body else body
        if filled.get("cmd") == command:
            return Declared(tuple(filled.get("deps", ())), tuple(filled.get("outs", ())), tuple(_params(filled)))
    return Declared()


def entries(tree: Any) -> dict[str, dict[str, Any]]:
    """The stages of a dvc.yaml as they stand there, by name, without those that only DVC can say what is wrong with."""
    stages = tree.get("stages") if isinstance(tree, dict) else None
    pairs = stages.items() if isinstance(stages, dict) else ()
    return {name: body for name, body in pairs if isinstance(body, dict) and isinstance(body.get("do", body), dict)}


def values(declaration: Declared) -> dict[tuple[str, str], Any]:
    """Today's value of each declared parameter; for a file that cannot be read, why not."""
    trees = {file: _tree(Path(file)) for file in {file for file, _ in declaration.params}}
    return {(file, name): _at(trees[file], name) for file, name in declaration.params}


def changed_parameter(before: Mapping[tuple[str, str], Any], after: Mapping[tuple[str, str], Any]) -> str:
    """The first parameter with another value, as a dotted name and its file; empty where there is none."""
    for (file, name), value in before.items():
        if value != after[file, name]:
            return f"{_leaf(name, value, after[file, name])} of {file}"
    return ""


def _leaf(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            if before.get(key) != after.get(key):
                return _leaf(f"{name}.{key}", before.get(key), after.get(key))
    return name


def _of_item(group: Mapping[str, Any], item: str) -> Any:
    """One stage of a foreach, if `item` may be one of its items."""
    if isinstance(group.get("foreach"), list) and item not in group["foreach"]:
        return {}
    return _replaced(group["do"], item)


def _replaced(node: Any, item: str) -> Any:
    if isinstance(node, dict):
        return {_replaced(key, item): _replaced(value, item) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, item) for value in node]
    return node.replace("${item}", item) if isinstance(node, str) else node


def _params(stage: Mapping[str, Any]) -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for entry in stage.get("params", ()):
        files = entry if isinstance(entry, dict) else {DEFAULT_FILE: [entry]}
        entries += [(file, name) for file, names in files.items() for name in names]
    return entries


def _tree(path: Path) -> Any:
    try:
        return read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return str(error)


def read(text: str) -> Any:
    """What YAML says, or why it says nothing."""
    try:
        return shared_yaml(text)
    except UNREADABLE as error:
        return str(error)


def _at(tree: Any, name: str) -> Any:
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else tree
    return tree
