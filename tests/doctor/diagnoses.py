"""Parameters to examine, and what an examination says."""

from collections.abc import Iterable

from rectok.doctor.diagnosis import Diagnosis
from rectok.params import Params, parse
from tests.project import overridden


def params(**changes: object) -> Params:
    """The digits preset with changes; two underscores stand for a dot."""
    return parse(overridden({name.replace("__", "."): value for name, value in changes.items()}), "params.yaml")


def statuses(findings: Iterable[Diagnosis]) -> dict[str, str]:
    """By name."""
    return {finding.name: finding.status for finding in findings}
