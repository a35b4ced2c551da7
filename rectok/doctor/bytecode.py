"""Byte code of large packages. Without it every command compiles them again, which takes seconds."""

import os
import sys
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, ok, warn

LARGE = ("torch", "timm", "great_expectations", "dvc", "sklearn")
"""Packages of many files that stages import."""


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
