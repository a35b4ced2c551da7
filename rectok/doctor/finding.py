"""What an examination finds."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do where it is not well."""

    name: str
    status: Status
    found: str
    remedy: str


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, "OK", found, "")


def warn(name: str, found: str, remedy: str) -> Finding:
    """A run will work, but not as well as it could."""
    return Finding(name, "WARN", found, remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    """A run will fail."""
    return Finding(name, "FAIL", found, remedy)
