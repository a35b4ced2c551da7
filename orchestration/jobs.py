"""Jobs that select no assets: the whole pipeline as one run, and the report of check results from outside."""

from collections.abc import Iterator
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    AssetMaterialization,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    Out,
    Output,
    job,
    op,
)

from orchestration.assets.progress import Observer
from orchestration.graph.model import Graph
from orchestration.launcher import Launcher, failure
from orchestration.sync.events import PIPELINE, being_made, evaluations, materializations

Event = AssetMaterialization | AssetCheckEvaluation


def pipeline(graph: Graph, root: Path) -> JobDefinition:
    """`dvc repro` as one run that reports every new artefact and every new check result.

    A run of assets holds at most one shard, so "Materialize all" becomes a backfill of several runs. This job is one run,
    with one log and one thing to cancel.
    """

    @op(
        out=Out(Nothing),
        pool="accelerator",  # it trains, and another training would share its GPUs
        description="dvc repro, then an event for every new artefact and every new check result",
    )
    def dvc_repro(context: OpExecutionContext, launcher: Launcher) -> Iterator[Event | Output[None]]:
        finished = launcher.repro(context, on_message=Observer(context, root))
        yield from materializations(context.instance, graph, root)
        yield from evaluations(context.instance, graph, root)
        if finished.code:
            raise failure(finished)
        yield Output(None)

    @job(name=PIPELINE, description="The whole of dvc.yaml in one run, as `dvc repro` does it")
    def run_pipeline() -> None:
        dvc_repro()

    return run_pipeline


def check_results(graph: Graph, root: Path) -> JobDefinition:
    """Reports the results of gates that ran outside Dagster.

    Outside a run, the event log accepts only one result per check and shard. So the sensor requests a run.
    """

    @op(out=Out(Nothing), description="An event for every new check result; it runs no stage")
    def report_check_results(context: OpExecutionContext) -> Iterator[Event | Output[None]]:
        # A run that is making an artefact reports its gate itself. The older result is out of date by then.
        yield from evaluations(context.instance, graph, root, being_made(context.instance, graph))
        yield Output(None)

    @job(name="check_results", description="Report check results from outside Dagster, for the sensor `external`")
    def report() -> None:
        report_check_results()

    return report
