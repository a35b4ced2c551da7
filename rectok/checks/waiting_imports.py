"""Imports of a package's own that a gate can do without."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import Any


class _LazyFinder(MetaPathFinder):
    """Finds the modules `names`, and has each wait until something of it is used."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """As the interface says."""
        spec = PathFinder.find_spec(name, path, target) if name in self.names else None
        if spec and spec.loader:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def waiting(*names: str) -> Iterator[None]:
    """Inside, the first import of each of the modules `names` waits until something of it is used."""
    finder = _LazyFinder(*names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
