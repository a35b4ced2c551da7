"""`rectok bench` and `rectok plan`: how fast, how large, how long."""

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from rectok.errors import UserError
from rectok.params import Params, load, parse, preset_text

if TYPE_CHECKING:
    from rectok.workloads.speed import Speed

Preset = Annotated[str, typer.Option(help="Use this preset instead of params.yaml")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")]


def bench(
    works: Annotated[
        list[str],
        typer.Argument(
            metavar="WORK…",
            help="tokenizer, dit, sample, encode, features, perceptual, loader, index (its batch is a number of "
            "files) or all; with a variant and a batch size of its own as in tokenizer/cached:64",
        ),
    ],
    preset: Preset = "",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images per step; by default those of the parameters")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="At most so many timings of every variant")] = 5,
    seconds: Annotated[
        float, typer.Option(min=0, help="Start no further timing of a variant after so many seconds")
    ] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of the pipeline's own code with random weights and synthetic inputs."""
    params = _params(preset)
    from rectok.bench.benchmark import read_targets, run
    from rectok.bench.work import Budget

    speeds, out = [], sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries may print; stdout is for records
        for speed in run(params, read_targets(works, batch), Budget(repeats, seconds)):
            typer.echo(_line(speed), err=True)
            if as_json:
                print(speed.model_dump_json(), file=out, flush=True)
            speeds.append(speed)
    if not speeds:
        raise UserError(f"there is nothing to time: no stage has {', '.join(works)} with these parameters")
    if not as_json:
        Console().print(_speed_table(speeds))
    if all(speed.error for speed in speeds):
        raise typer.Exit(1)


def plan(
    preset: Preset = "",
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
    params = _params(preset)
    from rectok.planning.display import needs, overview, short_trainings, tables
    from rectok.planning.plan import make_plan
    from rectok.planning.schedule import ASSUMPTION
    from rectok.planning.sizes import MEMORY_FORMULA
    from rectok.planning.verdict import verdict
    from rectok.workloads.speed import read_speeds

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


def _params(preset: str) -> Params:
    return parse(preset_text(preset), f"preset {preset}") if preset else load()


def _line(speed: "Speed") -> str:
    head = f"{speed.work} / {speed.variant}, batch {speed.batch}: "
    if speed.images_per_second is None:
        return head + str(speed.error)
    return head + f"{speed.images_per_second.median:.4g} images/s"


def _speed_table(speeds: "list[Speed]") -> Table:
    first = speeds[0]
    title = f"{first.preset} on {first.device}, torch {first.torch}, {first.networks}"
    table = Table("work", "variant", "batch", "images/s", "min … max", "precision", "compiled", title=title)
    for heading in ("TFLOP/s", "of peak", "GiB"):
        table.add_column(heading)
    table.title_justify = "left"
    for speed in speeds:
        names = (speed.work, speed.variant, str(speed.batch))
        rate = speed.images_per_second
        if rate is None:
            table.add_row(*names, "failed", str(speed.error))
            continue
        spread = f"{rate.min:.4g} … {rate.max:.4g}"
        share = "" if speed.share_of_peak is None else f"{speed.share_of_peak:.0%} of {speed.peak_tflops:.3g}"
        numbers = (_short(speed.tflops), share, _short(speed.peak_memory_gib))
        compiled = "yes" if speed.compiled else "no"
        table.add_row(*names, f"{rate.median:.4g}", spread, speed.precision, compiled, *numbers)
    return table


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
