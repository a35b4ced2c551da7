"""The nightly runs so far, as a table on disk. No torch here."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rectok.artifacts import DATA
from rectok.errors import UserError
from rectok.evaluation.metrics import nightly_metrics
from rectok.files import write_text
from rectok.storage.objects import below, direct_files, remove

FOLDER = DATA / "nightly"
HISTORY = FOLDER / "history.csv"
LATEST = FOLDER / "latest.json"
TREND = FOLDER / "trend.png"
PAGE = FOLDER / "index.html"
PICTURES = FOLDER / "pictures"
REGRESSED = 2
"""Exit code of `rectok nightly` where a metric got worse; 1 is a failure."""
REGRESSION = "regression: "
"""Stands before each sentence that names a metric that got worse."""
TEXTS, COUNT, REGRESSED_COLUMN, NOISE = ("date", "generator", "protocol"), "n", "regressed", "_noise"


@dataclass(frozen=True)
class NightlyRun:
    """One nightly run of `n` samples.

    Runs compare where `protocol` agrees, the fingerprint of their evaluation. `metrics` has the nightly
    metrics by name. A value is None where the metric network knows no labels, or where the run is older than the metric.
    `noise` has the standard deviation of each metric, estimated from parts of the run's samples, or None. A `regressed` run is
    never a baseline.
    """

    date: str
    generator: str
    protocol: str
    n: int
    metrics: Mapping[str, float | None]
    noise: Mapping[str, float | None]
    regressed: bool = False

    def row(self) -> dict[str, Any]:
        """The run as one row of the history, by column."""
        names = nightly_metrics()
        texts = {name: getattr(self, name) for name in TEXTS}
        metrics = {name: self.metrics.get(name) for name in names}
        noise = {f"{name}{NOISE}": self.noise.get(name) for name in names}
        return {**texts, COUNT: self.n, **metrics, **noise, REGRESSED_COLUMN: self.regressed}


def run_of(row: Mapping[str, Any]) -> NightlyRun:
    """The run of a row of texts; a metric or its noise may be missing. Raises KeyError or ValueError for anything else."""
    metrics, noise = ({name: _number(row.get(name + ending)) for name in nightly_metrics()} for ending in ("", NOISE))
    date, generator, protocol = (row[name] for name in TEXTS)
    regressed = row.get(REGRESSED_COLUMN) in (True, "True")
    return NightlyRun(date, generator, protocol, int(row[COUNT]), metrics, noise, regressed)


def columns() -> list[str]:
    """The columns of the history."""
    names = list(nightly_metrics())
    return [*TEXTS, COUNT, *names, *(f"{name}{NOISE}" for name in names), REGRESSED_COLUMN]


def read_history(path: Path = HISTORY) -> list[NightlyRun]:
    """The runs so far, oldest first; metrics that an older version lacked are None. Raises UserError for a damaged file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            if not {*TEXTS, COUNT} <= set(rows.fieldnames or ()) <= set(columns()):
                raise ValueError(f"its columns must be {', '.join(columns())}")
            runs = []
            for row in rows:
                if None in row or None in row.values():
                    raise ValueError("it has not as many values as there are columns")
                runs.append(run_of(row))
            return runs
        except (ValueError, csv.Error) as error:
            raise UserError(
                f"{path} is damaged in line {rows.line_num or 1} ({error}); fix it, or delete it and a new history begins, "
                "from the copy in storage.nightly where there is one"
            ) from None


def _number(value: str | float | None) -> float | None:
    return None if value in (None, "") else float(value)


def joined(history: Sequence[NightlyRun], run: NightlyRun) -> list[NightlyRun]:
    """The history with `run` in place of an earlier one of the same date, oldest first."""
    return sorted([*(past for past in history if past.date != run.date), run], key=lambda each: each.date)


def comparable(history: Sequence[NightlyRun], run: NightlyRun) -> list[NightlyRun]:
    """The runs of the same protocol, oldest first."""
    return [each for each in history if each.protocol == run.protocol]


def result_text(run: NightlyRun, history: Sequence[NightlyRun]) -> str:
    """What came of the run: worse, good, or the first measurement of its protocol."""
    first = not any(each.date < run.date for each in comparable(history, run))
    return "worse" if run.regressed else "first measurement" if first else "good"


def retained(history: Sequence[NightlyRun], count: int, baseline: Sequence[NightlyRun]) -> list[NightlyRun]:
    """The newest `count` runs, and those that the `baseline` is made of, however old."""
    return [run for place, run in enumerate(history) if place >= len(history) - count or run in baseline]


def write_history(history: Sequence[NightlyRun], path: Path = HISTORY) -> None:
    """Write the history atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(run.row() for run in history)
    write_text(path, text.getvalue())


def picture_file(date: str) -> Path:
    """A few guided samples of the run of a date."""
    return PICTURES / f"{date}.png"


def prune_pictures(place: str, keep: int) -> None:
    """Leave the newest `keep` pictures in `place`, a folder or s3:// prefix."""
    names = sorted(direct_files(place))
    for name in names[: max(0, len(names) - keep)]:
        remove(below(place, name))
