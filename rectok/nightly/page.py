"""The nightly page: every run in a table, the trend, and the accepted generator, as one file. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from rectok.evaluation.metrics import GUIDED, METRICS, PRINCIPAL, nightly_metrics
from rectok.nightly.history import NightlyRun, picture_file
from rectok.nightly.promotion import Promotion
from rectok.nightly.regression import Comparison
from rectok.pages import data_uri, filled
from rectok.reporting.charts import Line, line_png, line_svg
from rectok.reporting.summary import metric_rows

LISTED, PICTURED = 60, 7
"""Runs in the page's table, and runs whose pictures are on it."""


@dataclass(frozen=True)
class HistoryRow:
    """A run in the table: its metrics in words, whether it compares with the last one, and whether it regressed."""

    date: str
    metrics: list[str]
    generator: str
    comparable: bool
    regressed: bool


@dataclass(frozen=True)
class ComparisonRow:
    """A comparison in words."""

    title: str
    value: str
    baseline: str
    limit: str
    noise: str
    source: str
    regressed: bool


def render(
    history: Sequence[NightlyRun], run: NightlyRun, compared: Sequence[Comparison], promotion: Promotion | None
) -> str:
    """The page of `run`, the last one, in its `history`; `promotion` is the active one."""
    runs = comparable(history, run)
    accepted = promotion.metrics if promotion else {}
    return filled(
        "rectok.nightly",
        "nightly.html",
        run=run,
        compared=[_comparison_row(comparison) for comparison in compared],
        regressed=[comparison.sentence for comparison in compared if comparison.regressed],
        promotion=promotion,
        accepted_metrics=metric_rows(accepted, dict.fromkeys(accepted, "")),
        titles=[metric.title for metric in nightly_metrics().values()],
        rows=[_history_row(each, run) for each in reversed(history[-LISTED:])],
        count=len(history),
        charts=[(METRICS[name].title, chart) for name in _unguided() if (chart := _chart(runs, name))],
        pictures=_pictures(history),
    )


def comparable(history: Sequence[NightlyRun], run: NightlyRun) -> list[NightlyRun]:
    """The runs of the same protocol, oldest first."""
    return [each for each in history if each.protocol == run.protocol]


def trend_png(history: Sequence[NightlyRun]) -> bytes:
    """The principal metric over the runs that are comparable with the last one, unguided and guided."""
    runs = comparable(history, history[-1])
    return line_png(*_lines(runs, PRINCIPAL), x=f"days since {runs[0].date}", y=METRICS[PRINCIPAL].title)


def _unguided() -> list[str]:
    return [name for name in nightly_metrics() if not name.endswith(GUIDED)]


def _chart(runs: Sequence[NightlyRun], name: str) -> Markup | None:
    lines = _lines(runs, name)
    return Markup(line_svg(*lines, x=f"days since {runs[0].date}", y=METRICS[name].title)) if lines else None


def _lines(runs: Sequence[NightlyRun], name: str) -> list[Line]:
    """The metric without and with guidance, as far as there are values."""
    lines = [_line(runs, name, "unguided"), _line(runs, f"{name}{GUIDED}", "guided")]
    return [line for line in lines if line.y]


def _line(runs: Sequence[NightlyRun], name: str, label: str) -> Line:
    first = date.fromisoformat(runs[0].date)
    points = [(run.date, value) for run in runs if (value := run.metrics.get(name)) is not None]
    return Line([(date.fromisoformat(day) - first).days for day, _ in points], [value for _, value in points], label)


def _history_row(run: NightlyRun, last: NightlyRun) -> HistoryRow:
    metrics = [metric.text(run.metrics.get(name)) for name, metric in nightly_metrics().items()]
    return HistoryRow(run.date, metrics, run.generator, run.protocol == last.protocol, run.regressed)


def _comparison_row(comparison: Comparison) -> ComparisonRow:
    metric, count = METRICS[comparison.metric], comparison.measurements
    return ComparisonRow(
        title=metric.title,
        value=metric.text(comparison.value),
        baseline=metric.text(comparison.baseline),
        limit=metric.text(comparison.limit),
        noise=metric.text(comparison.noise),
        source=f"{count} measurement{'s' if count > 1 else ''}; noise: {comparison.source}",
        regressed=comparison.regressed,
    )


def _pictures(history: Sequence[NightlyRun]) -> list[tuple[str, str]]:
    paths = [(run.date, picture_file(run.date)) for run in reversed(history[-PICTURED:])]
    return [(day, data_uri(path)) for day, path in paths if path.exists()]
