"""Nightly figures of the current generator, and whether it got worse. No torch here."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import date
from pathlib import Path

from rectok.artifacts import DATA
from rectok.evaluation.charts import Line, line_png
from rectok.files import write_text

FOLDER = DATA / "nightly"
HISTORY = FOLDER / "history.csv"
LATEST = FOLDER / "latest.json"
TREND = FOLDER / "trend.png"


@dataclass(frozen=True)
class Night:
    """One night's figures. Nights compare where `protocol` agrees: it hashes sampler, counts, judge and reference.

    Accuracies are None where the judge knows no labels.
    """

    date: str
    generator: str
    protocol: str
    n: int
    gfid: float
    gfid_guided: float
    sample_accuracy: float | None
    sample_accuracy_guided: float | None


@dataclass(frozen=True)
class Tolerance:
    """How much worse a figure may be than the best generator's mean: `gfid` relative, `accuracy` absolute."""

    gfid: float
    accuracy: float


def read_history(path: Path = HISTORY) -> list[Night]:
    """The nights so far, oldest first; empty where there is no history yet."""
    if not path.exists():
        return []
    types = {field.name: field.type for field in fields(Night)}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: _parsed(types[name], value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [Night(**row) for row in rows]  # type: ignore[arg-type]


def _parsed(kind: object, text: str) -> str | int | float | None:
    if kind == float | None:
        return float(text) if text else None
    return int(text) if kind is int else float(text) if kind is float else text


def joined(history: Sequence[Night], night: Night) -> list[Night]:
    """The history with `night` in place of an earlier evaluation of the same date, oldest first."""
    return sorted([*(past for past in history if past.date != night.date), night], key=lambda each: each.date)


def write_history(history: Sequence[Night], path: Path = HISTORY) -> None:
    """Keep the history, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Night))
    writer.writerows(astuple(night) for night in history)
    write_text(path, text.getvalue())


def regressions(night: Night, history: Sequence[Night], tolerance: Tolerance) -> list[str]:
    """A sentence for each figure of `night` that is worse than the baseline by more than its tolerance.

    The baseline of a figure is the best generator's mean over comparable earlier nights: a mean, since no model
    keeps up with the luckiest of many noisy nights; earlier ones, so that a date caught up on gives what it would have
    given then.
    """
    earlier = [past for past in history if past.date < night.date and past.protocol == night.protocol]
    found = []
    for name in ("gfid", "gfid_guided"):
        best = min(_means(earlier, name), default=None)
        now = getattr(night, name)
        if best is not None and now > best * (1 + tolerance.gfid):
            found.append(
                f"{name} is {now:.4g}, more than {tolerance.gfid:.0%} above {best:.4g}, the best generator's mean"
            )
    for name in ("sample_accuracy", "sample_accuracy_guided"):
        best = max(_means(earlier, name), default=None)
        now = getattr(night, name)
        if now is not None and best is not None and now < best - tolerance.accuracy:
            found.append(
                f"{name} is {now:.4g}, more than {tolerance.accuracy:g} below {best:.4g}, the best generator's mean"
            )
    return found


def _means(history: Sequence[Night], name: str) -> list[float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for night in history:
        value = getattr(night, name)
        if value is not None:
            groups[night.generator].append(value)
    return [sum(values) / len(values) for values in groups.values()]


def latest(night: Night, found: Sequence[str]) -> dict[str, object]:
    """What the scheduler's check reads: the night's figures and the sentences of `regressions`."""
    return {**asdict(night), "regressions": list(found)}


def trend_png(history: Sequence[Night]) -> bytes:
    """gFID over the nights that are comparable with the last one, unguided and guided."""
    nights = [night for night in history if night.protocol == history[-1].protocol]
    first = date.fromisoformat(nights[0].date)
    days = [(date.fromisoformat(night.date) - first).days for night in nights]
    unguided = Line(days, [night.gfid for night in nights], "unguided")
    guided = Line(days, [night.gfid_guided for night in nights], "guided")
    return line_png(unguided, guided, x=f"days since {first}", y="gFID")
