"""The first few of many findings, for messages."""

from collections.abc import Sequence

SHOWN = 5


def listed(findings: Sequence[str]) -> str:
    """The first findings, and how many more there are; `none` when there are none."""
    more = f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    return "; ".join(findings[:SHOWN]) + more if findings else "none"
