"""The result of one preflight check."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True)
class Diagnosis:
    """One line of `rectok doctor`. The remedy is empty if the status is OK."""

    name: str
    status: Status
    detail: str
    remedy: str


def ok(name: str, detail: str) -> Diagnosis:
    """All is well."""
    return Diagnosis(name, "OK", detail, "")


def warn(name: str, detail: str, remedy: str) -> Diagnosis:
    """A run will work, but not as well as it could."""
    return Diagnosis(name, "WARN", detail, remedy)


def fail(name: str, detail: str, remedy: str) -> Diagnosis:
    """A run will fail."""
    return Diagnosis(name, "FAIL", detail, remedy)
