"""Installed packages: versions compared with pyproject.toml and requirements.lock, and byte code, which saves seconds."""

import os
import platform
import sys
import tomllib
from importlib import metadata
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import rectok
from rectok.checks.bounds import listed
from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn

LARGE = ("torch", "timm", "great_expectations", "dvc", "sklearn")
"""Packages of many files that stages import."""


def versions(home: Path = Path(rectok.__file__).parents[1]) -> Diagnosis:
    """Compare Python and packages with pyproject.toml and requirements.lock in `home`, else with the installed metadata."""
    project = _project(home / "pyproject.toml")
    python = SpecifierSet(project["requires-python"])
    if platform.python_version() not in python:
        remedy = f"rectok needs {python}: create a new environment"
        return fail("versions", f"Python {platform.python_version()}", remedy)
    broken = [problem for text in project["dependencies"] if (problem := _problem(Requirement(text)))]
    if broken:
        return fail("versions", listed(broken), "install requirements.lock again (any `make` target does)")
    lock = home / "requirements.lock"
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    pins = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    others = [problem for pin in pins if (problem := _problem(pin))]
    if others:
        remedy = "results may differ from published ones: install requirements.lock again (any `make` target does)"
        return warn("versions", listed(others), remedy)
    return ok("versions", f"Python {platform.python_version()}, {len(project['dependencies'])} packages as required")


def _project(path: Path) -> dict[str, Any]:
    if path.exists():
        return dict(tomllib.loads(path.read_text(encoding="utf-8"))["project"])
    record = metadata.metadata("rectok")
    return {"requires-python": record["Requires-Python"], "dependencies": metadata.requires("rectok") or []}


def _problem(package: Requirement) -> str:
    """What is wrong with one package, or an empty string."""
    if package.marker and not package.marker.evaluate({"extra": ""}):
        return ""
    try:
        version = metadata.version(package.name)
    except metadata.PackageNotFoundError:
        return f"{package.name} is not installed"
    right = package.specifier.contains(version, prereleases=True)
    return "" if right else f"{package.name} is {version}, not {package.specifier}"


def bytecode(packages: tuple[str, ...] = LARGE) -> Diagnosis:
    """Check the byte code of one file of each of `packages`."""
    lacking = [package for package in packages if _lacks_bytecode(package)]
    if not lacking:
        return ok("byte code", "exists for what stages import, or will be written on first use")
    reason = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else "its folder cannot be written"
    return warn(
        "byte code",
        f"every command spends seconds to compile {', '.join(lacking)}: there is no byte code, and {reason}",
        "install with `uv pip install --compile-bytecode --reinstall --requirement requirements.lock`, or let Python write it",
    )


def _lacks_bytecode(package: str) -> bool:
    """Whether `package` is installed without byte code, and Python cannot write any."""
    spec = find_spec(package)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return False
    cached = Path(cache_from_source(spec.origin))
    folder = next(parent for parent in cached.parents if parent.exists())
    return not cached.exists() and (sys.dont_write_bytecode or not os.access(folder, os.W_OK))
