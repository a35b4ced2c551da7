import pytest

from rectok.artifacts import Check, Relation
from rectok.reporting.check_text import counts_text, limit_text, margin_text, value_text, worst


def check(value: float | str, limit: float | str, relation: Relation, severity: str = "pass") -> Check:
    return Check("c", severity == "pass", "WARN" if severity == "WARN" else "ERROR", value, limit, "", relation)


@pytest.mark.parametrize(
    ("value", "limit", "relation", "texts"),
    [
        (27.2228154, 24.0, "≥", ("27.22", "≥ 24", "+13.4 %")),
        (0.11087, 0.1, "≤", ("0.1109", "≤ 0.1", "-10.9 %")),
        (0.003664, 1e-9, "≥", ("0.003664", "≥ 1e-09", "> +999 %")),
        (12.0, 1.0, "≤", ("12", "≤ 1", "< -999 %")),
        (0.5, 0, "≤", ("0.5", "≤ 0", "-0.5")),
        (2, 0, "=", ("2", "0", "")),
        ("unlabelled", 0.5, "≥", ("unlabelled", "≥ 0.5", "")),
    ],
)
def test_values_limits_and_margins(
    value: float | str, limit: float, relation: Relation, texts: tuple[str, ...]
) -> None:
    each = check(value, limit, relation)
    assert (value_text(each.value), limit_text(each), margin_text(each)) == texts


def test_warnings_and_errors_are_counted_apart() -> None:
    passed, warning, error = (check(1, 2, "≥", severity) for severity in ("pass", "WARN", "ERROR"))
    assert (counts_text([passed, passed]), worst([passed])) == ("all 2 passed", "pass")
    assert (counts_text([passed, *[warning] * 6]), worst([passed, warning])) == ("6 WARN", "WARN")
    assert (counts_text([warning, error]), worst([warning, error])) == ("1 ERROR, 1 WARN", "ERROR")
