"""`rectok ablate`: the same pipeline with one thing changed at a time, and a table of what came out."""

from pathlib import Path
from typing import Annotated

import typer

from rectok.artifacts import DATA
from rectok.errors import UserError

OUT = DATA / "ablations"


def ablate(
    ablation: Annotated[str, typer.Argument(help="Name of an ablation that comes with rectok, or a YAML file")],
    out: Annotated[Path, typer.Option(help="Folder for table.md, table.json, plot.png and params/")] = OUT,
    devices: Annotated[
        str, typer.Option(help="CUDA devices, a run on each at a time, e.g. 0,1,1; empty: one run")
    ] = "",
    table: Annotated[bool, typer.Option("--table", help="Only write the table of the runs that are done")] = False,
) -> None:
    """Run every row and seed with `dvc repro` in a workspace of its own, below data/ablations; run again to go on."""
    from rectok.ablation.report import write_report
    from rectok.ablation.running import make_shared, run_all
    from rectok.ablation.spec import cells, load_spec
    from rectok.ablation.workspace import prepare

    spec, name = load_spec(ablation), Path(ablation).stem
    failures = []
    if not table:
        make_shared(spec.shared)
    workspaces = [prepare(name, spec, cell) for cell in cells(spec)]
    if not table:
        failures = run_all(workspaces, spec.targets, devices.split(","), typer.echo)
    write_report(name, spec, workspaces, out / name)
    typer.echo(f"wrote {out / name / 'table.md'}")
    if failures:
        names = ", ".join(failure.workspace.cell.name for failure in failures)
        raise UserError(f"{len(failures)} of {len(workspaces)} runs failed ({names}); mend them and run it again")
