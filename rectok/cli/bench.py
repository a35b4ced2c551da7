"""`rectok bench`: how fast the pipeline's own code is here."""

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rectok.errors import UserError
from rectok.params import load, parse, preset_text
from rectok.params.editing import changed, settings_in

if TYPE_CHECKING:
    from rich.table import Table

    from rectok.bench.profiling import Profile
    from rectok.params import Params
    from rectok.workloads.speed import Speed

Preset = Annotated[str, typer.Option(help="Use this preset instead of params.yaml")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value for a parameter; may be repeated")
]
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
    settings: Settings = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images per step; by default those of the parameters")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="At most so many timings of every variant")] = 5,
    seconds: Annotated[
        float, typer.Option(min=0, help="Start no further timing of a variant after so many seconds")
    ] = 10.0,
    against: Annotated[
        str,
        typer.Option(metavar="COMMIT", help="First time the same works with the code of this commit; needs a clone"),
    ] = "",
    profile: Annotated[
        bool, typer.Option("--profile", help="Also print the parts of a step, and the kernels that take longest")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of the pipeline's own code with random weights and synthetic inputs."""
    params = chosen_params(preset, settings)
    from rectok.bench.against import speeds_at
    from rectok.bench.benchmark import read_targets, run
    from rectok.bench.work import Budget

    targets = read_targets(works, batch)
    before: list[Speed] = []
    if against:
        options = {"preset": preset, "batch": batch, "repeats": repeats, "seconds": seconds}
        words = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
        before = speeds_at(against, [*works, *words, *(word for text in settings or () for word in ("--set", text))])
    speeds, out = [], sys.stdout
    if as_json:
        for speed in before:
            print(speed.model_dump_json(), file=out)
    with contextlib.redirect_stdout(sys.stderr):  # libraries may print; stdout is for records
        for speed in run(params, targets, Budget(repeats, seconds), _show if profile else None):
            typer.echo(_line(speed) + _ratio(speed, before, against), err=True)
            if as_json:
                print(speed.model_dump_json(), file=out, flush=True)
            speeds.append(speed)
    if not speeds:
        raise UserError(f"there is nothing to time: no stage has {', '.join(works)} with these parameters")
    if not as_json:
        from rich.console import Console

        Console().print(_speed_table(speeds))
    if all(speed.error for speed in speeds):
        raise typer.Exit(1)


def chosen_params(preset: str, settings: list[str] | None) -> "Params":
    """The parameters of the preset, or of params.yaml where it is empty, with `settings`. Raises UserError."""
    params = parse(preset_text(preset), f"preset {preset}") if preset else load()
    return changed(params, settings_in(settings)) if settings else params


def _line(speed: "Speed") -> str:
    head = f"{speed.work} / {speed.variant}, batch {speed.batch}: "
    if speed.images_per_second is None:
        return head + str(speed.error)
    return head + f"{speed.images_per_second.median:.4g} images/s"


def _ratio(speed: "Speed", before: "list[Speed]", commit: str) -> str:
    """How many times as fast as the same variant of `before`."""
    same = (old for old in before if (old.work, old.variant, old.batch) == (speed.work, speed.variant, speed.batch))
    old = next(same, None)
    if speed.images_per_second is None or old is None or old.images_per_second is None:
        return ""
    return f", {speed.images_per_second.median / old.images_per_second.median:.2f} times {commit}"


def _show(profile: "Profile") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    for title, shares in (("part of a step", profile.parts), ("kernel", profile.kernels)):
        table = Table(title, "share")
        for name, share in shares:
            table.add_row(name, f"{share:.1%}")
        if shares:
            console.print(table)


def _speed_table(speeds: "list[Speed]") -> "Table":
    from rich.table import Table

    first = speeds[0]
    title = (
        f"{first.preset} on {first.device}, torch {first.torch}, {first.networks}; the peak is that of the hot device"
    )
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
