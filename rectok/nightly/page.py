"""The nightly page: every night in a table, the trend, and the accepted generator, as one file. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from rectok.nightly.history import FIGURES, NightlyRun, picture_file
from rectok.nightly.promotion import Promotion
from rectok.nightly.regression import Finding
from rectok.pages import data_uri, filled
from rectok.reporting.charts import Line, line_png, line_svg
from rectok.reporting.display import FIGURES as SHOWN
from rectok.reporting.display import written

PAIRS = (("gFID", "gfid", "gfid_guided"), ("Samples recognised", "sample_accuracy", "sample_accuracy_guided"))
LISTED, PICTURED = 60, 7
"""Nights in the page's table, and pictures of nights on it."""


@dataclass(frozen=True)
class Row:
    """One night of the table: its figures in words, and what became of it."""

    date: str
    figures: list[str]
    generator: str
    comparable: bool
    regressed: bool


@dataclass(frozen=True)
class Compared:
    """A finding in words."""

    title: str
    value: str
    baseline: str
    limit: str
    noise: str
    source: str
    regressed: bool


def render(
    history: Sequence[NightlyRun], night: NightlyRun, found: Sequence[Finding], promotion: Promotion | None
) -> str:
    """The page of `night`, the last one evaluated, in its `history`; `promotion` is the generator in force."""
    nights = comparable(history, night)
    return filled(
        "rectok.nightly",
        "nightly.html",
        night=night,
        compared=[_compared(finding) for finding in found],
        regressed=[finding.sentence for finding in found if finding.regressed],
        promotion=promotion,
        accepted_figures=_accepted(promotion),
        titles=[SHOWN[name].title for name in FIGURES],
        rows=[_row(each, night) for each in reversed(history[-LISTED:])],
        count=len(history),
        charts=[(title, chart) for title, *names in PAIRS if (chart := _chart(nights, title, *names))],
        pictures=_pictures(history),
    )


def comparable(history: Sequence[NightlyRun], night: NightlyRun) -> list[NightlyRun]:
    """The nights of the same protocol, oldest first."""
    return [each for each in history if each.protocol == night.protocol]


def trend_png(history: Sequence[NightlyRun]) -> bytes:
    """gFID over the nights that are comparable with the last one, unguided and guided."""
    nights = comparable(history, history[-1])
    return line_png(*_lines(nights, "gfid", "gfid_guided"), x=f"days since {nights[0].date}", y="gFID")


def _chart(nights: Sequence[NightlyRun], title: str, plain: str, guided: str) -> Markup | None:
    lines = _lines(nights, plain, guided)
    return Markup(line_svg(*lines, x=f"days since {nights[0].date}", y=title)) if lines else None


def _lines(nights: Sequence[NightlyRun], plain: str, guided: str) -> list[Line]:
    """Those of the two that have points: a metric network that knows no labels gives no accuracy."""
    return [line for line in (_line(nights, plain, "unguided"), _line(nights, guided, "guided")) if line.y]


def _line(nights: Sequence[NightlyRun], name: str, label: str) -> Line:
    first = date.fromisoformat(nights[0].date)
    points = [(night.date, value) for night in nights if (value := night.figure(name)) is not None]
    return Line([(date.fromisoformat(day) - first).days for day, _ in points], [value for _, value in points], label)


def _row(each: NightlyRun, last: NightlyRun) -> Row:
    figures = [written(name, each.figure(name)) for name in FIGURES]
    return Row(each.date, figures, each.generator, each.protocol == last.protocol, each.regressed)


def _compared(found: Finding) -> Compared:
    value, base, limit, noise = (
        written(found.figure, number) for number in (found.value, found.baseline, found.limit, found.noise)
    )
    source = f"{found.measurements} measurement{'s' if found.measurements > 1 else ''}; noise: {found.source}"
    return Compared(SHOWN[found.figure].title, value, base, limit, noise, source, found.regressed)


def _accepted(promotion: Promotion | None) -> list[tuple[str, str]]:
    figures = promotion.figures if promotion else {}
    return [(shown.title, written(name, figures[name])) for name, shown in SHOWN.items() if name in figures]


def _pictures(history: Sequence[NightlyRun]) -> list[tuple[str, str]]:
    paths = [(night.date, picture_file(night.date)) for night in reversed(history[-PICTURED:])]
    return [(day, data_uri(path)) for day, path in paths if path.exists()]
