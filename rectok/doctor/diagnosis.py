"""The result of one preflight check."""

from dataclasses import dataclass
from functools import partial
from typing import Literal


@dataclass(frozen=True)
class Diagnosis:
    """One line of `rectok doctor`. The remedy is empty if the status is OK."""

    status: Literal["OK", "WARN", "FAIL"]
    name: str
    detail: str
    remedy: str = ""


ok = partial(Diagnosis, "OK")
"""All is well."""
warn = partial(Diagnosis, "WARN")
"""A run will work, but not as well as it could; the remedy says what helps."""
fail = partial(Diagnosis, "FAIL")
"""A run will fail; the remedy says what helps."""
