"""`rectok ablate`: the same pipeline with one thing changed at a time, and a table of what came out."""

from pathlib import Path
from typing import Annotated

import typer

from rectok.artifacts import DATA
from rectok.errors import UserError
from rectok.params import load

OUT = DATA / "ablations"


def ablate(
    ablation: Annotated[
        str, typer.Argument(help="Name of an ablation that comes with rectok, a YAML file, or with --vary a new name")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for index.html, table.md, table.json, plot.png and samples.png")
    ] = OUT,
    devices: Annotated[
        str,
        typer.Option(help="CUDA devices, a run on each at a time, e.g. 0,1, or 0,0,0 for three on one; empty: one run"),
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Stages of a run, and of what all runs share, at once")] = 1,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="A sweep over all combinations, e.g. dit.training.epochs=10,20; may be repeated"),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Stage that every row of a sweep is brought to; may be repeated")
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Only write the table of the runs that are done")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only check the parameters of all runs, and print the runs' names")
    ] = False,
    prepare_only: Annotated[
        bool, typer.Option("--prepare", help="Make what all runs share, and their workspaces, but run none")
    ] = False,
    only: Annotated[str, typer.Option(help="Only this run of those that were prepared, then the table")] = "",
) -> None:
    """Run every row and seed with `dvc repro` in a workspace of its own, below data/ablations; run again to go on."""
    from rectok.ablation.report import write_report
    from rectok.ablation.runner import make_shared, run_all
    from rectok.ablation.spec import cells, in_spaces, load_spec
    from rectok.ablation.sweep import read_sweep, write_sweep
    from rectok.ablation.workspace import check_params, located, prepare, prepare_shared

    params = load()  # every run begins with a copy of it
    spaces = [space.name for space in params.generation.spaces]
    given = read_sweep(ablation, vary, params.gates.probe.at, target or ()) if vary else load_spec(ablation)
    spec, name = in_spaces(given, spaces), ablation if vary else Path(ablation).stem
    runs = cells(spec)
    if plan:
        check_params(name, spec)
        typer.echo("\n".join(cell.name for cell in runs))
        return
    if vary:
        write_sweep(name, given)
    if only and only not in [cell.name for cell in runs]:
        raise UserError(f"ablation {name} has no run {only!r}; its runs are {', '.join(cell.name for cell in runs)}")
    if spec.shared and not table and not only:
        make_shared(prepare_shared(name, spec), spec.shared, jobs)
    workspaces = [located(name, spec, cell) for cell in runs]
    for workspace in workspaces:
        # One run alone leaves the others, which may be going on, as they were prepared.
        if not only or (workspace.cell.name == only and not workspace.params.exists()):
            prepare(name, spec, workspace.cell)
    if prepare_only:
        typer.echo("\n".join(f"prepared {cell.name}" for cell in runs))
        return
    chosen = [workspace for workspace in workspaces if only in ("", workspace.cell.name)]
    failures = [] if table else run_all(chosen, spec.targets, devices.split(","), typer.echo, bool(only), jobs)
    write_report(name, spec, workspaces, out / name)
    typer.echo(f"wrote {out / name / 'table.md'}")
    if failures:
        names = ", ".join(failure.workspace.cell.name for failure in failures)
        reasons = f": {failures[0].reason}" if len(chosen) == 1 else ""
        raise UserError(f"{len(failures)} of {len(chosen)} runs failed ({names}{reasons}); fix them and run it again")
