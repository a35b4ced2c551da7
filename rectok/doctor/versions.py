"""What is installed, against pyproject.toml and requirements.lock."""

import platform
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import rectok
from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn

SHOWN = 4


def versions(home: Path = Path(rectok.__file__).parents[1]) -> Diagnosis:
    """Python and packages against the pyproject.toml and the requirements.lock in `home`, else against the installed record."""
    project = _project(home / "pyproject.toml")
    python = SpecifierSet(project["requires-python"])
    if platform.python_version() not in python:
        return fail("versions", f"Python {platform.python_version()}", f"rectok wants {python}: make a new environment")
    broken = [wish for text in project["dependencies"] if (wish := _unmet(Requirement(text)))]
    if broken:
        return fail("versions", _listed(broken), "install requirements.lock again (any `make` target does)")
    lock = home / "requirements.lock"
    others = [wish for line in _lines(lock) if (wish := _unmet(Requirement(line)))]
    if others:
        remedy = "results may differ from published ones: install requirements.lock again (any `make` target does)"
        return warn("versions", _listed(others), remedy)
    return ok("versions", f"Python {platform.python_version()}, {len(project['dependencies'])} packages as asked for")


def _project(path: Path) -> dict[str, Any]:
    if path.exists():
        return dict(tomllib.loads(path.read_text(encoding="utf-8"))["project"])
    record = metadata.metadata("rectok")
    return {"requires-python": record["Requires-Python"], "dependencies": metadata.requires("rectok") or []}


def _lines(lock: Path) -> list[str]:
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def _unmet(wish: Requirement) -> str:
    """What is wrong with one package, in words; empty where nothing is."""
    if wish.marker and not wish.marker.evaluate({"extra": ""}):
        return ""
    try:
        found = metadata.version(wish.name)
    except metadata.PackageNotFoundError:
        return f"{wish.name} is not installed"
    return "" if wish.specifier.contains(found, prereleases=True) else f"{wish.name} is {found}, not {wish.specifier}"


def _listed(wishes: list[str]) -> str:
    more = f" and {len(wishes) - SHOWN} more" if len(wishes) > SHOWN else ""
    return "; ".join(wishes[:SHOWN]) + more
