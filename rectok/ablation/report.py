"""What an ablation leaves: table.md, table.json, plot.png, and the parameters of every row."""

from collections.abc import Sequence
from pathlib import Path

from rectok.ablation.spec import Spec
from rectok.ablation.table import Entry, Table, heading, markdown, records, tabulate
from rectok.ablation.workspace import Workspace
from rectok.artifacts import write_json
from rectok.evaluation.charts import Panel, Series, panels_png
from rectok.files import write_bytes, write_text


def write_report(name: str, spec: Spec, workspaces: Sequence[Workspace], folder: Path) -> Table:
    """Write the report of all runs that are done into `folder`; nothing but the table where there is none."""
    table = tabulate(spec, workspaces)
    text = f"# {spec.title}\n\n{spec.claim}\n\n{markdown(spec, table)}\n{_how(name, spec, workspaces)}\n"
    write_text(folder / "table.md", text)
    write_json(folder / "table.json", {"ablation": name, "rows": records(spec, table)})
    if table:
        write_bytes(folder / "plot.png", panels_png([_panel(spec, table, column) for column in spec.columns]))
    for workspace in workspaces:
        if workspace.done():
            text = workspace.params.read_text(encoding="utf-8")
            write_text(folder / "params" / f"{workspace.cell.name}.yaml", text)
    return table


def _how(name: str, spec: Spec, workspaces: Sequence[Workspace]) -> str:
    done = sum(workspace.done() for workspace in workspaces)
    seeds = f"Mean ± sample standard deviation over seeds {', '.join(map(str, spec.seeds))} where there are several."
    return f"`rectok ablate {name}`: {done} of {len(workspaces)} runs. {seeds} Each run's parameters lie in params/."


def _panel(spec: Spec, table: Table, column: str) -> Panel:
    rows = [row for row in spec.rows if row.name in table]
    numeric = all(row.x is not None for row in rows)
    entries: list[Entry] = [table[row.name][column] for row in rows]
    x = [row.x if numeric and row.x is not None else float(place) for place, row in enumerate(rows)]
    names = [] if numeric else [row.title for row in rows]
    return Panel(heading(column), Series(x, [entry.values for entry in entries]), names, spec.axis)
