from dataclasses import replace
from pathlib import Path

from rectok.evaluation.history import Night, Tolerance, joined, read_history, regressions, trend_png, write_history

TOLERANCE = Tolerance(gfid=0.25, accuracy=0.03)
FIRST = Night("2026-01-01", "aaaa", "p", 500, 8.0, 4.0, 0.97, 0.99)


def night(day: int, **changes: float | str) -> Night:
    return replace(FIRST, date=f"2026-01-{day:02d}", **changes)  # type: ignore[arg-type]


def test_history_survives_the_disk_and_a_repeated_date_replaces_itself(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    assert read_history(path) == []
    write_history(joined(joined([], night(2)), night(1)), path)
    write_history(joined(read_history(path), night(2, gfid=7.123456789)), path)
    assert read_history(path) == [night(1), night(2, gfid=7.123456789)]


def test_the_first_night_and_small_changes_are_no_regression() -> None:
    assert regressions(FIRST, [], TOLERANCE) == []
    assert regressions(night(2, gfid=9.9, sample_accuracy=0.945), [FIRST], TOLERANCE) == []


def test_each_figure_that_got_worse_is_named() -> None:
    worse = night(2, generator="bbbb", gfid=10.1, sample_accuracy_guided=0.95)
    found = regressions(worse, [FIRST], TOLERANCE)
    assert len(found) == 2
    assert found[0].startswith("gfid is 10.1, more than 25% above 8")
    assert found[1].startswith("sample_accuracy_guided is 0.95, more than 0.03 below 0.99")


def test_the_baseline_is_the_best_generators_mean_not_its_luckiest_night() -> None:
    history = [night(1, gfid=6.0), night(2, gfid=10.0), night(3, generator="bbbb", gfid=20.0)]
    assert regressions(night(4, gfid=9.5), history, TOLERANCE) == []
    assert len(regressions(night(4, gfid=10.5), history, TOLERANCE)) == 1


def test_nights_of_another_protocol_and_later_nights_do_not_count() -> None:
    history = [night(1, protocol="other", gfid=1.0), night(9, gfid=1.0)]
    assert regressions(night(5), history, TOLERANCE) == []


def test_trend_is_a_picture_of_comparable_nights() -> None:
    history = [night(day, gfid=8.0 + day) for day in range(1, 4)]
    assert trend_png(history[:1]).startswith(b"\x89PNG")
    assert trend_png([night(1, protocol="other"), *history[1:]]) == trend_png(history[1:]) != trend_png(history)
