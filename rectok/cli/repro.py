"""`rectok repro`: what `dvc repro` does, with several stages at once."""

import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rectok.artifacts import SHARDED, STAGES
from rectok.errors import UserError
from rectok.pipeline.code_versions import GATE

if TYPE_CHECKING:
    from rectok.pipeline.graph import Stage
    from rectok.pipeline.jobs import Queue
    from rectok.pipeline.parallel import Limits
    from rectok.pipeline.status import Status

BATCHED = (*SHARDED, *(f"{GATE}{stage}" for stage in SHARDED))
"""Stages and gates whose command takes several shards."""
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
    single_item: Annotated[
        bool, typer.Option("--single-item", help="Only TARGETS, and nothing that they need")
    ] = False,
) -> None:
    """Bring stages up to date like `dvc repro`, with which it shares dvc.lock and the cache, several at once."""
    from rich.console import Console

    from rectok.pipeline.graph import opened
    from rectok.pipeline.parallel import Limits
    from rectok.pipeline.status import status
    from rectok.reporting.summary import duration

    for number in STOPPING:
        signal.signal(number, _as_ctrl_c)
    began = time.monotonic()
    with Console(stderr=True).status("") as shown:
        report = status(Path(), targets or (), shown.update)
    if single_item:
        report = report.only(targets or ())
    if report.due:
        with opened(Path()) as repo:
            _run(repo, report, Limits(max(jobs, on_accelerator), on_accelerator))
    typer.echo(f"{len(report.chosen)} stages are up to date, after {duration(time.monotonic() - began)}")


def _run(repo: Any, report: "Status", limits: "Limits") -> None:
    """Run what is due. Raises UserError where a stage fails."""
    from rectok.pipeline.graph import longest_chain
    from rectok.pipeline.parallel import Repro, reproduce
    from rectok.pipeline.recording import Recorder, recordable

    stages = report.due
    if len(stages) < len(report.chosen):
        typer.echo(f"{len(report.chosen) - len(stages)} of {len(report.chosen)} stages have not changed")
    queue = queue_of(stages.values())
    groups = recordable(repo, (stage for stage in stages.values() if stage.noun in BATCHED or (queue and stage.pool)))
    commands = Repro(typer.echo, longest_chain(stages), Recorder(repo), groups, queue)
    limits = replace(limits, elsewhere=queue is not None)
    if failed := reproduce(stages, limits, commands.run, commands.stop, groups):
        raise UserError(f"{', '.join(failed)} failed; its message stands above, and what had ended is kept")


def queue_of(stages: "Iterable[Stage]") -> "Queue | None":
    """Where to queue stages, if the parameters name a cluster; other pipelines than ours have none."""
    from rectok.params import load
    from rectok.pipeline.kubernetes_jobs import Kubernetes
    from rectok.pipeline.slurm import Slurm

    if not any(stage.noun in STAGES for stage in stages) or (machine := load().machine).executor == "local":
        return None
    return Slurm(machine.slurm) if machine.executor == "slurm" else Kubernetes(machine.kubernetes)


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    for number in STOPPING:  # who stops a service may send both, and means it once
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
