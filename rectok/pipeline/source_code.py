"""The code behind a stage: all files of this package that its module imports, and a fingerprint of each."""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from rectok.errors import UserError

LEAVES = ("rectok.params",)
"""Packages that do not count, nor what only they import.

DVC compares parameters by value already. A new parameter of one stage would otherwise concern every stage. All else counts,
also errors and progress displays: an edit there is rare, and `record` says in a second that it changes no results.
"""
DISPATCHERS = ("rectok.checks.run",)
"""Modules that import a stage or a gate by a computed name. That one is a root itself."""
HASH_DIGITS = 16


class SourceCode:
    """The files of the package in the folder `package`. Files have POSIX paths relative to the parent of that folder."""

    def __init__(self, package: Path) -> None:
        self.root = package.parent
        self._modules = {self._name(path): path for path in package.rglob("*.py")}
        self._trees: dict[str, ast.Module] = {}
        self._imported: dict[tuple[str, bool], list[str]] = {}
        self._fingerprints: dict[Path, str] = {}

    def names(self, package: str) -> list[str]:
        """The modules directly in `package`, by their last name."""
        prefix = f"{package}."
        inside = [name.removeprefix(prefix) for name in self._modules if name.startswith(prefix)]
        return sorted(name for name in inside if "." not in name)

    def fingerprints(self, roots: Sequence[str]) -> dict[str, str]:
        """A fingerprint of every file that the modules `roots` need. Raises UserError for an import by a computed name."""
        reached = self._reached(roots)
        paths = [*(self._modules[name] for name in reached), *self._data_files(reached)]
        return {path.relative_to(self.root).as_posix(): self._fingerprint(path) for path in sorted(paths)}

    def _name(self, path: Path) -> str:
        return ".".join(path.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__")

    def _reached(self, roots: Iterable[str]) -> set[str]:
        """All modules that `roots` import, also in functions, and the packages around them, whose functions do not count."""
        todo, reached = [(root, True) for root in roots], set[tuple[str, bool]]()
        while todo:
            name, whole = todo.pop()
            if (name, whole) in reached or name not in self._modules or self._is_leaf(name):
                continue
            reached.add((name, whole))
            todo.append((name.rpartition(".")[0], False))
            if (name, whole) not in self._imported:
                self._imported[name, whole] = list(self._imports(name, whole))
            todo.extend((imported, True) for imported in self._imported[name, whole])
        return {name for name, _ in reached}

    @staticmethod
    def _is_leaf(name: str) -> bool:
        return any(name == leaf or name.startswith(f"{leaf}.") for leaf in LEAVES)

    def _imports(self, name: str, whole: bool) -> Iterator[str]:
        is_package = self._modules[name].name == "__init__.py"
        for node in _executed(self._tree(name), whole or not is_package):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parts = name.split(".")
                base = parts[: len(parts) - node.level + is_package] if node.level else []
                source = ".".join([*base, *([node.module] if node.module else [])])
                inner = [f"{source}.{alias.name}" for alias in node.names]
                yield from (each if each in self._modules else source for each in inner)
            elif isinstance(node, ast.Call) and _last_name(node.func) == "import_module":
                if isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)
                elif name not in DISPATCHERS:
                    raise UserError(
                        f"{name} imports a module by a computed name, so its code versions cannot be compared"
                    )

    def _tree(self, name: str) -> ast.Module:
        if name not in self._trees:
            self._trees[name] = ast.parse(self._modules[name].read_bytes())
        return self._trees[name]

    @cached_property
    def _packaged(self) -> dict[str, list[Path]]:
        """Templates and styles beside modules, by file name."""
        packaged: dict[str, list[Path]] = {}
        for suffix in ("html", "css"):
            for path in self.root.glob(f"*/**/*.{suffix}"):
                packaged.setdefault(path.name, []).append(path)
        return packaged

    def _data_files(self, modules: Iterable[str]) -> set[Path]:
        """The packaged files that `modules` name in a text, and those that such files name."""
        folders = {self._modules[name].parent for name in modules}
        texts = [self._modules[name].read_text(encoding="utf-8") for name in modules]
        templates: set[Path] = set()
        while texts:
            text = texts.pop()
            for name, paths in self._packaged.items():
                new = {path for path in paths if path.parent in folders and name in text} - templates
                templates |= new
                texts.extend(path.read_text(encoding="utf-8") for path in new)
        return templates

    def _fingerprint(self, path: Path) -> str:
        if path not in self._fingerprints:
            text = _dumped(self._tree(self._name(path))) if path.suffix == ".py" else path.read_text(encoding="utf-8")
            self._fingerprints[path] = hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
        return self._fingerprints[path]


def _executed(node: ast.AST, functions: bool) -> Iterator[ast.AST]:
    """The nodes below `node`, without imports for type checkers, and without those in functions where `functions` is False."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _last_name(child.test) == "TYPE_CHECKING":
            continue
        if functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _executed(child, functions)


def _last_name(node: ast.expr) -> str:
    """`c` of the expressions `c` and `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _dumped(node: object) -> str:
    """A syntax tree as text: without positions, comments and docstrings, the same in every version of Python.

    Newer versions add fields, which are empty in older code; `ast.dump` would show them.
    """
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return f"{type(node).__name__}({','.join(f'{name}={_dumped(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(_dumped(item) for item in node if not _is_docstring(item))}]"
    return repr(node)


def _is_docstring(node: object) -> bool:
    """Whether it is a text that stands alone, which has no effect."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
