"""The nights so far, as a table on disk. No torch here."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, astuple, dataclass, fields
from pathlib import Path

from rectok.artifacts import DATA
from rectok.errors import UserError
from rectok.files import write_text
from rectok.storage import below, direct_files, remove

FOLDER = DATA / "nightly"
HISTORY = FOLDER / "history.csv"
LATEST = FOLDER / "latest.json"
TREND = FOLDER / "trend.png"
PAGE = FOLDER / "index.html"
PICTURES = FOLDER / "pictures"
REGRESSED = 2
"""Exit code of `rectok nightly` where something got worse; 1 is a failure."""
REGRESSION = "regression: "
"""What it writes before each sentence of what got worse."""
FIGURES = ("gfid", "gfid_guided", "sample_accuracy", "sample_accuracy_guided")


@dataclass(frozen=True)
class NightlyRun:
    """One night's figures. Nights compare where `protocol` agrees: it hashes sampler, counts, metric network and reference.

    Accuracies are None where the metric network knows no labels. `…_noise` is the standard deviation of a figure, estimated from
    parts of the night's own samples; None where it was not. `regressed` nights are never a baseline.
    """

    date: str
    generator: str
    protocol: str
    n: int
    gfid: float
    gfid_guided: float
    sample_accuracy: float | None
    sample_accuracy_guided: float | None
    gfid_noise: float | None = None
    gfid_guided_noise: float | None = None
    sample_accuracy_noise: float | None = None
    sample_accuracy_guided_noise: float | None = None
    regressed: bool = False

    def figure(self, name: str) -> float | None:
        """One of FIGURES."""
        value: float | None = getattr(self, name)
        return value

    def noise(self, name: str) -> float | None:
        """The noise of one of FIGURES."""
        value: float | None = getattr(self, f"{name}_noise")
        return value


def read_history(path: Path = HISTORY) -> list[NightlyRun]:
    """The nights so far, oldest first; empty where there is no history yet. Columns that an older version lacked are None.

    Raises UserError where the file is damaged.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            _require_columns(rows.fieldnames or ())
            return [_night(row) for row in rows]
        except (ValueError, csv.Error) as error:
            raise UserError(
                f"{path} is damaged in line {rows.line_num or 1} ({error}); mend it, or delete it and a new history begins, "
                "from the copy in storage.nightly where there is one"
            ) from None


def _require_columns(names: Sequence[str]) -> None:
    known = [field.name for field in fields(NightlyRun)]
    missing = [each.name for each in fields(NightlyRun) if each.default is MISSING and each.name not in names]
    unknown = [name for name in names if name not in known]
    if missing or unknown:
        raise ValueError(f"its columns must be {', '.join(known)}")


def _night(row: Mapping[str | None, str | None]) -> NightlyRun:
    if None in row or None in row.values():
        raise ValueError("it has not as many values as there are columns")
    types = {field.name: field.type for field in fields(NightlyRun)}
    return NightlyRun(**{name: _parsed(types[name], value) for name, value in row.items()})  # type: ignore


def _parsed(kind: object, text: str) -> str | int | float | bool | None:
    if kind == float | None:
        return float(text) if text else None
    if kind is bool:
        return text == "True"
    return int(text) if kind is int else float(text) if kind is float else text


def joined(history: Sequence[NightlyRun], night: NightlyRun) -> list[NightlyRun]:
    """The history with `night` in place of an earlier evaluation of the same date, oldest first."""
    return sorted([*(past for past in history if past.date != night.date), night], key=lambda each: each.date)


def retained(history: Sequence[NightlyRun], nights: int, baseline: Sequence[NightlyRun]) -> list[NightlyRun]:
    """The newest `nights` of them, and whatever the `baseline` is made of, however old."""
    newest = set(history[-nights:]) | set(baseline)
    return [night for night in history if night in newest]


def write_history(history: Sequence[NightlyRun], path: Path = HISTORY) -> None:
    """Keep the history, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(NightlyRun))
    writer.writerows(astuple(night) for night in history)
    write_text(path, text.getvalue())


def picture_file(date: str) -> Path:
    """A few guided samples of a night."""
    return PICTURES / f"{date}.png"


def prune_pictures(place: str, keep: int) -> None:
    """Leave the pictures of the newest `keep` nights in `place`, a folder or s3:// prefix."""
    names = sorted(direct_files(place))
    for name in names[: max(0, len(names) - keep)]:
        remove(below(place, name))
