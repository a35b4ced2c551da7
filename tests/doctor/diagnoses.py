"""Parameters for `rectok doctor`, and its results."""

from collections.abc import Iterable

from rectok.doctor.diagnosis import Diagnosis
from rectok.params import Params, parse
from tests.project import overridden


def params(**changes: object) -> Params:
    """The digits preset with changes. Two underscores stand for a dot."""
    return parse(overridden({name.replace("__", "."): value for name, value in changes.items()}), "params.yaml")


def statuses(diagnoses: Iterable[Diagnosis]) -> dict[str, str]:
    """The status of every check by name."""
    return {diagnosis.name: diagnosis.status for diagnosis in diagnoses}
