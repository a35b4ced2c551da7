"""Checks as people read them: rounded values, limits with their sign, margins, and WARN and ERROR counted apart."""

from collections.abc import Iterable

from rectok.artifacts import Check, CheckValue
from rectok.evaluation.metrics import NONE

LARGE = 999
"""Percent."""


def value_text(value: CheckValue) -> str:
    """A value with four digits."""
    return NONE if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def limit_text(check: Check) -> str:
    """The limit behind its sign, as in `≥ 24`. A limit that is met by being equal has no sign."""
    sign = f"{check.relation} " if check.relation != "=" else ""
    return NONE if check.limit is None else f"{sign}{value_text(check.limit)}"


def verdict_text(check: Check) -> str:
    """pass, WARN or ERROR."""
    return "pass" if check.passed else check.severity


def margin(check: Check) -> float | None:
    """How far the value is on the right side of its limit, relative to it (absolute for a limit of 0); None without numbers."""
    if check.relation == "=" or not isinstance(check.value, (int, float)) or not isinstance(check.limit, (int, float)):
        return None
    distance = check.value - check.limit if check.relation == "≥" else check.limit - check.value
    return distance / abs(check.limit) if check.limit else distance


def margin_text(check: Check) -> str:
    """`+13 %`, or `+0.02` for a limit of 0; empty without numbers. Above `LARGE` percent the figure says nothing more."""
    size = margin(check)
    if size is None:
        return ""
    if check.limit and abs(size) > LARGE / 100:
        return f"> +{LARGE} %" if size > 0 else f"< -{LARGE} %"
    return f"{100 * size:+.3g} %" if check.limit else f"{size:+.3g}"


def counts_text(checks: Iterable[Check]) -> str:
    """`2 ERROR, 1 WARN`; `all 12 passed` where nothing failed."""
    results = [verdict_text(check) for check in checks]
    counts = [f"{results.count(name)} {name}" for name in ("ERROR", "WARN") if name in results]
    return ", ".join(counts) or f"all {len(results)} passed"


def worst(checks: Iterable[Check]) -> str:
    """The class of a page's style: ERROR, WARN or pass."""
    results = {verdict_text(check) for check in checks}
    return next((name for name in ("ERROR", "WARN") if name in results), "pass")
