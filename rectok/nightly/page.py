"""The nightly page: every run in a table, the trend, and the promoted generator, as one file. No torch here."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from markupsafe import Markup

from rectok.evaluation.metrics import GUIDED, METRICS, PRINCIPAL, Metric, nightly_metrics
from rectok.nightly.history import NightlyRun, comparable, picture_file, result_text
from rectok.nightly.promotion import Promotion
from rectok.nightly.regression import Comparison
from rectok.pages import data_uri, filled
from rectok.reporting.charts import Line, line_png, line_svg
from rectok.reporting.summary import metric_rows

LISTED, PICTURED = 60, 7
"""Runs in the page's table, and runs whose pictures are on it."""


def render(
    history: Sequence[NightlyRun], run: NightlyRun, compared: Sequence[Comparison], promotion: Promotion | None
) -> str:
    """The page of `run`, the last one, in its `history`; `promotion` is the newest one."""
    runs = comparable(history, run)
    promoted = promotion.metrics if promotion else {}
    newest = history[-1 : -PICTURED - 1 : -1]
    since = f"days since {runs[0].date}"
    names = [name for name in nightly_metrics() if not name.endswith(GUIDED)]
    curves = {_axis(METRICS[name]): _lines(runs, name) for name in names}
    return filled(
        "rectok.nightly",
        "nightly.html",
        run=run,
        compared=[_comparison_row(comparison) for comparison in compared],
        regressed=[comparison.sentence for comparison in compared if comparison.regressed],
        promotion=promotion,
        promoted_metrics=metric_rows(promoted, dict.fromkeys(promoted, "")),
        titles=[metric.title for metric in nightly_metrics().values()],
        rows=[_history_row(each, history) for each in reversed(history[-LISTED:])],
        count=len(history),
        charts=[(title, Markup(line_svg(*lines, x=since, y=title))) for title, lines in curves.items() if lines],
        pictures=[(each.date, data_uri(path)) for each in newest if (path := picture_file(each.date)).exists()],
    )


def trend_png(history: Sequence[NightlyRun]) -> bytes:
    """The principal metric over the runs that are comparable with the last one, unguided and guided."""
    runs = comparable(history, history[-1])
    return line_png(*_lines(runs, PRINCIPAL), x=f"days since {runs[0].date}", y=METRICS[PRINCIPAL].title)


def _axis(metric: Metric) -> str:
    """Its title with the unit."""
    return f"{metric.title} ({metric.unit.strip()})" if metric.unit else metric.title


def _lines(runs: Sequence[NightlyRun], name: str) -> list[Line]:
    """The metric without and with guidance, as far as there are values, shares in percent."""
    first, lines = date.fromisoformat(runs[0].date), []
    factor = 100 if METRICS[name].unit == "%" else 1
    for label, metric in (("unguided", name), ("guided", f"{name}{GUIDED}")):
        points = [(run.date, value) for run in runs if (value := run.metrics.get(metric)) is not None]
        days = [(date.fromisoformat(day) - first).days for day, _ in points]
        if points:
            lines.append(Line(days, [factor * value for _, value in points], label))
    return lines


def _history_row(run: NightlyRun, history: Sequence[NightlyRun]) -> dict[str, Any]:
    """A run in words, whether it compares with the last one, and its result."""
    metrics = [metric.text(run.metrics.get(name)) for name, metric in nightly_metrics().items()]
    result = result_text(run, history)
    return {**vars(run), "metrics": metrics, "comparable": run.protocol == history[-1].protocol, "result": result}


def _comparison_row(comparison: Comparison) -> dict[str, Any]:
    """A comparison in words."""
    metric, count = METRICS[comparison.metric], comparison.measurements
    texts = {name: metric.text(getattr(comparison, name)) for name in ("value", "baseline", "limit", "noise")}
    source = f"{count} measurement{'s' if count > 1 else ''}; noise: {comparison.source}"
    return {"title": metric.title, **texts, "source": source, "regressed": comparison.regressed}
