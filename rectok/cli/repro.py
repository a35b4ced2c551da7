"""`rectok repro`: what `dvc repro` does, with several stages at once."""

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from rectok.errors import UserError

STOPPING = (signal.SIGTERM, signal.SIGHUP)


def repro(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages to bring up to date; none: all of them")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Stages at once")] = 2,
    on_accelerator: Annotated[
        int,
        typer.Option(
            min=1,
            help="Of them, how many at most that share a pool in dvc.yaml: those that use the accelerator. "
            "Of several such places one is left free for the stages of the longest chain",
        ),
    ] = 1,
) -> None:
    """Bring stages up to date like `dvc repro`, with which it shares dvc.lock and the cache, several at once."""
    from rectok.pipeline.graph import longest_chain
    from rectok.pipeline.parallel import Limits, Repro, reproduce
    from rectok.pipeline.status import status
    from rectok.reporting.summary import duration

    for number in STOPPING:
        signal.signal(number, _as_ctrl_c)
    began, report = time.monotonic(), status(Path(), targets or ())
    stages = report.due
    if stages and len(stages) < len(report.chosen):
        typer.echo(f"{len(report.chosen) - len(stages)} of {len(report.chosen)} stages have not changed")
    commands = Repro(typer.echo, longest_chain(stages))
    failed = reproduce(stages, Limits(max(jobs, on_accelerator), on_accelerator), commands.run, commands.stop)
    if failed:
        raise UserError(f"{', '.join(failed)} failed; its message stands above, and what had ended is kept")
    typer.echo(f"{len(report.chosen)} stages are up to date, after {duration(time.monotonic() - began)}")


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    for number in STOPPING:  # who stops a service may send both, and means it once
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
