"""The whole pipeline as one run."""

from collections.abc import Iterator
from pathlib import Path

from dagster import Failure, JobDefinition, Nothing, OpExecutionContext, Out, Output, job, op

from orchestration.graph import Graph
from orchestration.launcher import Launcher
from orchestration.news import Event, news


def pipeline(graph: Graph, root: Path) -> JobDefinition:
    """`dvc repro` as one run, which reports every artefact and gate that is new.

    A run of assets holds one shard or none, so "Materialize all" is a backfill of several runs; this job is for those who
    want one run, one log and one thing to cancel.
    """

    @op(out=Out(Nothing), description="dvc repro, then an event for every artefact and every gate's result that is new")
    def repro(context: OpExecutionContext, launcher: Launcher) -> Iterator[Event | Output[None]]:
        finished = launcher.repro(context)
        yield from news(context.instance, graph, root)
        if finished.code:
            raise Failure(finished.reason, allow_retries=False)
        yield Output(None)

    @job(name="pipeline", description="The whole of dvc.yaml in one run, as `dvc repro` does it")
    def whole() -> None:
        repro()

    return whole
