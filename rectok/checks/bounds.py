"""Builders for the checks that gates are made of, and for their messages."""

import math
from collections.abc import Sequence

from rectok.artifacts import UNLABELLED, Check, Relation, Severity

SHOWN = 5


def at_least(name: str, value: float, limit: float, what: str, severity: Severity = "ERROR") -> Check:
    """`value` must be a number not below `limit`; `what` says what the value is, for the message."""
    return _bound(name, value, limit, what, "≥", value >= limit, severity)


def at_most(name: str, value: float, limit: float, what: str, severity: Severity = "ERROR") -> Check:
    """`value` must be a number not above `limit`; `what` says what the value is, for the message."""
    return _bound(name, value, limit, what, "≤", value <= limit, severity)


def holds(name: str, condition: bool, message: str, severity: Severity = "ERROR") -> Check:
    """`condition` must be true; `message` says what is wrong when it is not."""
    return Check(name, condition, severity, "yes" if condition else "no", "yes", "" if condition else message)


def unlabelled(name: str, limit: float) -> Check:
    """Stands where an accuracy would be compared with `limit` if the images had labels."""
    return Check(name, True, "ERROR", UNLABELLED, limit, "", "≥")


def _bound(
    name: str, value: float, limit: float, what: str, relation: Relation, holds: bool, severity: Severity
) -> Check:
    finite = math.isfinite(value)
    passed = finite and holds
    message = "" if passed else f"{what} is {value:.6g}, but must be {relation} {limit:.6g}"
    return Check(name, passed, severity, value if finite else str(value), limit, message, relation)


def listed(findings: Sequence[str]) -> str:
    """The first findings, and how many more there are; `none` when there are none."""
    more = f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    return "; ".join(findings[:SHOWN]) + more if findings else "none"
