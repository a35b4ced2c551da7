"""Dagster's private API is used through two files of the project and one of the tests."""

import ast
import importlib
import re
from pathlib import Path

import dagster
import pytest

from tests.orchestration.project import REPOSITORY

PRIVATE = re.compile(r"dagster(_[a-z]+)?\._|dagster_shared\b")
OURS = ("orchestration/private.py", "orchestration/private_storage.py")
DOORS = {*OURS, "tests/orchestration/daemon.py"}


def imports(path: Path) -> list[tuple[str, str]]:
    """Modules of Dagster that are private, with each name that the file at `path` imports from them."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [
        (node.module or "", alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    names += [(alias.name, "") for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return [(module, name) for module, name in names if PRIVATE.match(f"{module}.{name}")]


def test_no_other_file_imports_private_names() -> None:
    files = [path for folder in ("rectok", "orchestration", "tests") for path in (REPOSITORY / folder).rglob("*.py")]
    assert {path.relative_to(REPOSITORY).as_posix() for path in files if imports(path)} == DOORS


@pytest.mark.parametrize("module, name", [each for path in OURS for each in imports(REPOSITORY / path)])
def test_a_private_name_is_where_it_was_and_is_not_public_yet(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)
    assert not hasattr(dagster, name), f"import {name} from dagster; it is public now"
