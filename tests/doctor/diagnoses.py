"""Results of `rectok doctor`."""

from collections.abc import Iterable

from rectok.doctor.diagnosis import Diagnosis


def statuses(diagnoses: Iterable[Diagnosis]) -> dict[str, str]:
    """The status of every check by name."""
    return {diagnosis.name: diagnosis.status for diagnosis in diagnoses}
