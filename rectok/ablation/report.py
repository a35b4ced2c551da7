"""What an ablation leaves: index.html, table.md, table.json, plot.png, and the parameters and pictures of every run."""

from collections.abc import Sequence
from pathlib import Path

from rectok import artifacts
from rectok.ablation.spec import Row, Spec
from rectok.ablation.table import Table, figures_of, heading, headings, markdown, records, tabulate
from rectok.ablation.workspace import Workspace
from rectok.artifacts import write_json
from rectok.files import write_bytes, write_text
from rectok.pages import data_uri, filled
from rectok.reporting.charts import Panel, Series, panels_png
from rectok.reporting.summary import EVALUATIONS

PICTURES = {
    "samples": artifacts.stage_dir("generation") / "unguided.png",
    "guided": artifacts.stage_dir("generation") / "guided.png",
    "reconstructions": artifacts.stage_dir("reconstruction") / "grid.png",
}


def write_report(name: str, spec: Spec, workspaces: Sequence[Workspace], folder: Path) -> Table:
    """Write the report of all runs that are done into `folder`; nothing but the table where there are no figures."""
    table = tabulate(spec, workspaces)
    text = f"# {spec.title}\n\n{spec.claim}\n\n{markdown(spec, table)}\n{_how(name, spec, workspaces)}\n"
    write_text(folder / "table.md", text)
    write_json(folder / "table.json", {"ablation": name, "rows": records(spec, table)})
    panels = [_panel(spec, table, column) for column in spec.columns if _having(spec, table, column)]
    if panels:
        write_bytes(folder / "plot.png", panels_png(panels))
    for workspace in workspaces:
        if workspace.done():
            _keep(workspace, folder)
    write_text(folder / "index.html", _page(spec, table, _how(name, spec, workspaces), folder))
    return table


def _page(spec: Spec, table: Table, how: str, folder: Path) -> str:
    """The table, the plot and the pictures as one file that needs no network."""
    plot, pictures = folder / "plot.png", sorted((folder / "pictures").glob("*.png"))
    return filled(
        "rectok.ablation",
        "page.html",
        title=spec.title,
        claim=spec.claim,
        how=how,
        columns=headings(spec),
        rows=[
            {"title": row.title, "figures": figures_of(spec, table.get(row.name)), "changes": row.set}
            for row in spec.rows
        ],
        plot=data_uri(plot) if plot.exists() else "",
        pictures=[(path.stem, data_uri(path)) for path in pictures],
    )


def _keep(workspace: Workspace, folder: Path) -> None:
    name = workspace.cell.name
    write_text(folder / "params" / f"{name}.yaml", workspace.params.read_text(encoding="utf-8"))
    places = {title: workspace.folder / picture for title, picture in PICTURES.items()}
    found = {title: place.read_bytes() for title, place in places.items() if place.exists()}
    if found.get("guided") == found.get("samples"):  # guidance that changes nothing
        found.pop("guided", None)
    for title, picture in found.items():
        write_bytes(folder / "pictures" / f"{name}-{title}.png", picture)


def _how(name: str, spec: Spec, workspaces: Sequence[Workspace]) -> str:
    done = sum(workspace.done() for workspace in workspaces)
    seeds = "Mean ± sample standard deviation where there are several seeds."
    kept = "Each run's parameters lie in params/, its pictures in pictures/."
    measured = {target.removeprefix("gate@") for target in spec.targets} & set(EVALUATIONS)
    bare = "" if measured else f" No target is an evaluation ({', '.join(EVALUATIONS)}), so there are no figures."
    return f"`rectok ablate {name}`: {done} of {len(workspaces)} runs. {seeds} {kept}{bare}"


def _having(spec: Spec, table: Table, column: str) -> list[Row]:
    return [row for row in spec.rows if row.name in table and table[row.name][column].known]


def _panel(spec: Spec, table: Table, column: str) -> Panel:
    """A series for every line; rows without a place stand side by side under their names."""
    rows = _having(spec, table, column)
    names = [row.title for row in rows if row.x is None]
    places = [float(place) if row.x is None else row.x for place, row in enumerate(rows)]
    # Lines without figures too, so that each has the same colour in every panel.
    lines: dict[str, list[tuple[float, list[float]]]] = {row.line: [] for row in spec.rows}
    for place, row in zip(places, rows, strict=True):
        lines[row.line].append((place, table[row.name][column].known))
    series = [Series([x for x, _ in points], [y for _, y in points], line) for line, points in lines.items()]
    return Panel(heading(column), series, names, spec.axis)
