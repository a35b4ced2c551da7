"""The table of an ablation: mean and spread over seeds, as records, as Markdown, and as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from rectok.ablation.protocols import Protocols, of_row
from rectok.ablation.spec import Spec
from rectok.ablation.workspace import Workspace
from rectok.artifacts import read_json
from rectok.evaluation.metrics import METRICS, NONE, column_metric, points


@dataclass(frozen=True)
class Entry:
    """A metric over `seeds`; its value is None where the run has none."""

    values: tuple[float | None, ...]
    seeds: tuple[int, ...]

    @property
    def known(self) -> list[float]:
        """The values that there are."""
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        """Of the values that there are, or None."""
        return mean(self.known) if self.known else None

    @property
    def spread(self) -> float | None:
        """Their sample standard deviation (n − 1 in the denominator), None for fewer than two."""
        return stdev(self.known) if len(self.known) > 1 else None


Table = dict[str, dict[str, Entry]]
"""Row → column → entry; a row without a finished run is absent."""


def tabulate(spec: Spec, workspaces: Sequence[Workspace]) -> Table:
    """Gather the metrics of all finished runs."""
    table: Table = {}
    for row in spec.rows:
        done = [workspace for workspace in workspaces if workspace.cell.row == row and workspace.done()]
        if done:
            summaries = [read_json(workspace.result)["metrics"] for workspace in done]
            seeds = tuple(workspace.cell.seed for workspace in done)
            table[row.name] = {
                column: Entry(tuple(value_of(summary, column) for summary in summaries), seeds)
                for column in spec.columns
            }
    return table


def value_of(summary: Mapping[str, Any], column: str) -> float | None:
    """The value of the metric that `column` names; None where the run has none of it."""
    values = points(summary)
    name, _, time = column.partition("@")
    if name in METRICS and METRICS[name].curve and time:
        column = f"{name}@{float(time):g}"
    return values.get(column)


def records(spec: Spec, table: Table, protocols: Protocols) -> list[dict[str, Any]]:
    """One record per finished row, for JSON."""
    return [
        {
            "row": row.name,
            "title": row.title,
            "set": row.set,
            "protocol": dict(protocols.get(row.name, {})),
            "metrics": {
                column: {**asdict(entry), "mean": entry.mean, "spread": entry.spread}
                for column, entry in table[row.name].items()
            },
        }
        for row in spec.rows
        if row.name in table
    ]


def markdown(spec: Spec, table: Table, protocols: Protocols) -> str:
    """A table for people; an unfinished row says so."""
    header = ["", *headings(spec, protocols)]
    lines = [header, ["---"] + ["--:"] * (len(header) - 1)]
    lines += [[row.title, *cells_of(spec, table, protocols, row.name)] for row in spec.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cells_of(spec: Spec, table: Table, protocols: Protocols, row: str) -> list[str]:
    """The metrics of a row in words, column by column, the seeds whose runs are done, and the row's protocol, where any has one.

    An unfinished row says so.
    """
    entries = table.get(row)
    protocol = [of_row(protocols, row) or NONE] if any(of_row(protocols, each) for each in protocols) else []
    if entries is None:
        return ["not run"] * len(spec.columns) + [NONE, *protocol]
    seeds = entries[spec.columns[0]].seeds
    return [*(written(column, entries[column]) for column in spec.columns), ", ".join(map(str, seeds)), *protocol]


def headings(spec: Spec, protocols: Protocols) -> list[str]:
    """The titles of the columns of `cells_of`."""
    protocol = ["Protocol"] if any(of_row(protocols, each) for each in protocols) else []
    return [*(heading(column) for column in spec.columns), "Seeds", *protocol]


def heading(column: str) -> str:
    """What stands above a column."""
    metric = column_metric(column)
    return metric.title if metric else column


def written(column: str, entry: Entry) -> str:
    """Mean ± spread, in the metric's own format with its unit once; a dash where there is none."""
    if entry.mean is None:
        return NONE
    metric = column_metric(column)
    shape = metric.format if metric else "{:.4g}"
    text = shape.format(entry.mean)
    if entry.spread is None:
        return text
    return f"{text.removesuffix(metric.unit if metric else '')} ± {shape.format(entry.spread)}"
