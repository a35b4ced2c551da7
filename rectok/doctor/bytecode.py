"""Whether Python compiles all that it imports anew in every command, which makes each stage start seconds later."""

import os
import sys
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, ok, warn

LARGE = ("torch", "timm", "great_expectations", "dvc", "sklearn")
"""Packages of many files, which stages import."""


def bytecode(packages: tuple[str, ...] = LARGE) -> Diagnosis:
    """Looks for the byte code of one file of each of `packages`."""
    lacking = [package for package in packages if _lacks(package)]
    if not lacking:
        return ok("byte code", "kept for what stages import, or will be on its first use")
    reason = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else "its folder cannot be written"
    return warn(
        "byte code",
        f"every command compiles {', '.join(lacking)} anew, for seconds: there is none, and {reason}",
        "install with `uv pip install --compile-bytecode --reinstall --requirement requirements.lock`, or let Python write it",
    )


def _lacks(package: str) -> bool:
    """Whether `package` is there without byte code, and stays so."""
    found = find_spec(package)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return False
    kept = Path(cache_from_source(found.origin))
    folder = next(parent for parent in kept.parents if parent.exists())
    return not kept.exists() and (sys.dont_write_bytecode or not os.access(folder, os.W_OK))
