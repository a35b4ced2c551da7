"""What an ablation leaves: index.html, table.md, table.json, plot.png, and samples.png with a picture of every row."""

from collections.abc import Sequence
from pathlib import Path

from rectok import artifacts
from rectok.ablation.protocols import Protocols, alike, of_column, protocols, sentence
from rectok.ablation.spec import Row, Spec
from rectok.ablation.table import Table, cells_of, heading, headings, markdown, records, tabulate
from rectok.ablation.workspace import Workspace
from rectok.artifacts import write_json
from rectok.files import write_bytes, write_text
from rectok.pages import data_uri, filled
from rectok.reporting.charts import Panel, Series, panels_png, pictures_png
from rectok.reporting.summary import EVALUATIONS

PICTURES = (
    artifacts.stage_dir("generation") / "guided.png",
    artifacts.stage_dir("generation") / "unguided.png",
    artifacts.stage_dir("reconstruction") / "grid.png",
)
"""Pictures of a run; the first that there is stands for it."""


def write_report(name: str, spec: Spec, workspaces: Sequence[Workspace], folder: Path) -> Table:
    """Write the report of all runs that are done into `folder`; without metrics no plot, without pictures no grid."""
    table, measured = tabulate(spec, workspaces), protocols(spec, workspaces)
    how = " ".join(filter(None, (_how(name, spec, workspaces), sentence(spec, measured))))
    text = f"# {spec.title}\n\n{spec.claim}\n\n{markdown(spec, table, measured)}\n{how}\n"
    write_text(folder / "table.md", text)
    write_json(folder / "table.json", {"ablation": name, "rows": records(spec, table, measured)})
    panels = [_panel(spec, table, column, measured) for column in spec.columns if _having(spec, table, column)]
    if panels:
        write_bytes(folder / "plot.png", panels_png(panels))
    if pictures := _pictures(spec, workspaces):
        write_bytes(folder / "samples.png", pictures_png(pictures))
    write_text(folder / "index.html", _page(spec, table, measured, how, folder))
    return table


def _page(spec: Spec, table: Table, measured: Protocols, how: str, folder: Path) -> str:
    """The table, the plot and the pictures as one file that needs no network."""
    plot, samples = folder / "plot.png", folder / "samples.png"
    return filled(
        "rectok.ablation",
        "page.html",
        title=spec.title,
        claim=spec.claim,
        how=how,
        columns=headings(spec, measured),
        rows=[
            {"title": row.title, "metrics": cells_of(spec, table, measured, row.name), "changes": row.set}
            for row in spec.rows
        ],
        plot=data_uri(plot) if plot.exists() else "",
        samples=data_uri(samples) if samples.exists() else "",
    )


def _pictures(spec: Spec, workspaces: Sequence[Workspace]) -> dict[str, Path]:
    """A picture of the first seed of every row that is done, by the row's title."""
    pictures: dict[str, Path] = {}
    for row in spec.rows:
        runs = [workspace for workspace in workspaces if workspace.cell.row == row and workspace.done()]
        paths = [run.folder / picture for run in runs[:1] for picture in PICTURES]
        if path := next((path for path in paths if path.exists()), None):
            pictures[row.title] = path
    return pictures


def _how(name: str, spec: Spec, workspaces: Sequence[Workspace]) -> str:
    done = sum(workspace.done() for workspace in workspaces)
    seeds = "Mean ± sample standard deviation where there are several seeds."
    details = f"Parameters and pictures of every run lie in {artifacts.DATA / 'ablations' / name}."
    measured = {target.removeprefix("gate@") for target in spec.targets} & set(EVALUATIONS)
    bare = "" if measured else f" No target is an evaluation ({', '.join(EVALUATIONS)}), so there are no metrics."
    return f"`rectok ablate {name}`: {done} of {len(workspaces)} runs. {seeds} {details}{bare}"


def _having(spec: Spec, table: Table, column: str) -> list[Row]:
    return [row for row in spec.rows if row.name in table and table[row.name][column].known]


def _panel(spec: Spec, table: Table, column: str, measured: Protocols) -> Panel:
    """A series for every line and protocol; rows without a place stand side by side under their names."""
    rows = _having(spec, table, column)
    names = [row.title for row in rows if row.x is None]
    places = [float(place) if row.x is None else row.x for place, row in enumerate(rows)]
    labels = {row.name: _label(spec, row, column, measured) for row in spec.rows}
    # Lines without metrics too, so that each has the same colour in every panel.
    lines: dict[str, list[tuple[float, list[float]]]] = {label: [] for label in labels.values()}
    for place, row in zip(places, rows, strict=True):
        lines[labels[row.name]].append((place, table[row.name][column].known))
    series = [Series([x for x, _ in points], [y for _, y in points], line) for line, points in lines.items()]
    return Panel(heading(column), series, names, spec.axis)


def _label(spec: Spec, row: Row, column: str, measured: Protocols) -> str:
    """The line of a row, and the protocol where several must not be joined."""
    if alike(spec, measured) or row.name not in measured:
        return row.line
    return f"{row.line} {of_column(measured, row.name, column)}".strip()
