import re
from dataclasses import replace
from pathlib import Path

import pytest

from rectok.files import write_bytes
from rectok.nightly.history import (
    PICTURES,
    NightlyRun,
    joined,
    picture_file,
    prune_pictures,
    read_history,
    retained,
    run_of,
    write_history,
)
from tests.errors import user_error

METRICS = {"gfid": 8.0, "gfid_guided": 4.0, "sample_accuracy": 0.97, "sample_accuracy_guided": None}
NOISE = {"gfid": 0.5, "gfid_guided": 0.25, "sample_accuracy": 0.01, "sample_accuracy_guided": None}
FIRST = NightlyRun("2026-01-01", "aaaa", "p", 500, METRICS, NOISE)


def nightly_run(day: int, **changes: float | str | bool) -> NightlyRun:
    """A run of January whose columns are those of FIRST but for `changes`."""
    return run_of(FIRST.row() | changes | {"date": f"2026-01-{day:02d}"})


def test_history_survives_the_disk_and_a_repeated_date_replaces_itself(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    assert read_history(path) == []
    write_history(joined(joined([], nightly_run(2)), nightly_run(1, regressed=True)), path)
    write_history(joined(read_history(path), nightly_run(2, gfid=7.123456789)), path)
    assert read_history(path) == [nightly_run(1, regressed=True), nightly_run(2, gfid=7.123456789)]


def test_a_history_from_before_noise_was_estimated_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    header = "date,generator,protocol,n,gfid,gfid_guided,sample_accuracy,sample_accuracy_guided"
    path.write_text(f"{header}\n2026-01-01,aaaa,p,500,8.0,4.0,0.97,\n")
    assert read_history(path) == [replace(FIRST, noise=dict.fromkeys(NOISE))]


HEADER = "date,generator,protocol,n,gfid,gfid_guided,sample_accuracy,sample_accuracy_guided"
DAMAGED = {
    "nothing": (b"", 1, "its columns must be date, "),
    "half a header": (b"date,generator", 1, "its columns must be date, "),
    "an unknown column": (f"{HEADER},x\n".encode(), 1, "its columns must be date, "),
    "half a row": (f"{HEADER}\n2026-01-01,aaaa,p,5".encode(), 2, "not as many values"),
    "a row too long": (f"{HEADER}\n2026-01-01,aaaa,p,5,8.0,4.0,,,\n".encode(), 2, "not as many values"),
    "no number": (f"{HEADER}\n2026-01-01,aaaa,p,5,8.0,<<<<,,\n".encode(), 2, "'<<<<'"),
    "no text": (b"\xff\xfe", 1, "utf-8"),
}


@pytest.mark.parametrize("content, line, why", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_history_is_named_with_what_to_do(tmp_path: Path, content: bytes, line: int, why: str) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with user_error(f"^{re.escape(str(path))} is damaged in line {line} .*{why}.*; fix it, or delete"):
        read_history(path)


def test_the_newest_nights_and_the_baseline_stay() -> None:
    history = [nightly_run(day) for day in range(1, 6)]
    assert retained(history, 2, history[:1]) == [history[0], *history[3:]]
    assert retained(history, 9, []) == history


@pytest.mark.parametrize("keep, left", [(2, ["2026-01-02", "2026-01-03"]), (0, []), (9, 3)])
def test_the_newest_pictures_stay(here: Path, keep: int, left: list[str] | int) -> None:
    for day in (3, 1, 2):
        write_bytes(picture_file(f"2026-01-{day:02d}"), b"")
    prune_pictures(str(PICTURES), keep)
    found = sorted(path.stem for path in PICTURES.iterdir())
    assert (found if isinstance(left, list) else len(found)) == left
