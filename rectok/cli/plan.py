"""`rectok plan`: how large a run is, and how long it takes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rectok.cli.bench import AsJson, Preset, Settings, chosen_params


def plan(
    preset: Preset = "",
    settings: Settings = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that train")] = 8,
    bench: Annotated[
        list[Path] | None, typer.Option(help="Records of `rectok bench --json`, measured on the hardware of the run")
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Training images; by default those of the index, or of the preset")
    ] = None,
    memory: Annotated[float, typer.Option(min=0, help="GB of one GPU's memory")] = 80.0,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Add parameters, memory under each ZeRO stage, FLOPs, licences and formulas"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a run fits the GPUs and how long it takes, with memory, disk and downloads, without touching data."""
    from rich.console import Console

    from rectok.planning.display import needs, overview, short_trainings, tables
    from rectok.planning.plan import make_plan
    from rectok.planning.schedule import ASSUMPTION
    from rectok.planning.sizes import MEMORY_FORMULA
    from rectok.planning.verdict import verdict
    from rectok.workloads.speed import read_speeds

    params = chosen_params(preset, settings)
    run = make_plan(params, images, gpus, read_speeds(bench or []), indexed=not preset)
    if as_json:
        record = {**run.as_json(), "verdict": verdict(run, params, memory)}
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    console = Console()
    console.print(f"{run.preset}, {run.images} training images: {verdict(run, params, memory)}", soft_wrap=True)
    console.print(overview(run, params))
    for line in (*short_trainings(run), *needs(run)):
        console.print(line, soft_wrap=True)
    if not verbose:
        assumed = any(row.basis == ASSUMPTION for row in run.estimates)
        hint = "Times are assumed; measure them with `rectok bench` and --bench. " if assumed else ""
        console.print(f"{hint}--verbose shows what stands behind these numbers.", soft_wrap=True)
        return
    for table in tables(run):
        console.print(table)
    console.print(f"Memory: {MEMORY_FORMULA}.", soft_wrap=True)
    for basis in dict.fromkeys(row.basis for row in run.estimates):
        stages = ", ".join(row.workload.stage for row in run.estimates if row.basis == basis)
        console.print(f"Speed of {stages} {basis}.", soft_wrap=True)
