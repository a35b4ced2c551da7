"""Jobs that are no selection of assets: the whole pipeline as one run, and the report of gates that ran outside."""

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
    """`dvc repro` as one run, which reports every artefact and gate that is new.

    A run of assets holds one shard or none, so "Materialize all" is a backfill of several runs; this job is for those who
    want one run, one log and one thing to cancel.
    """

    @op(
        out=Out(Nothing),
        pool="accelerator",  # it trains; what trains beside it would share its GPUs
        description="dvc repro, then an event for every artefact and every gate's result that is new",
    )
    def dvc_repro(context: OpExecutionContext, launcher: Launcher) -> Iterator[Event | Output[None]]:
        finished = launcher.repro(context, told=Observer(context, root))
        yield from materializations(context.instance, graph, root)
        yield from evaluations(context.instance, graph, root)
        if finished.code:
            raise failure(finished)
        yield Output(None)

    @job(name=PIPELINE, description="The whole of dvc.yaml in one run, as `dvc repro` does it")
    def whole() -> None:
        dvc_repro()

    return whole


def verdicts(graph: Graph, root: Path) -> JobDefinition:
    """Reports what gates found outside Dagster.

    Outside a run the event log takes one result per check and shard, ever; so the sensor asks for a run.
    """

    @op(out=Out(Nothing), description="An event for every gate's result that is new; it runs nothing")
    def report_verdicts(context: OpExecutionContext) -> Iterator[Event | Output[None]]:
        # The run that makes an artefact now reports its gate itself, and what was before it is no news any more.
        yield from evaluations(context.instance, graph, root, being_made(context.instance, graph))
        yield Output(None)

    @job(name="verdicts", description="Report what gates found outside Dagster; the sensor `external` asks for it")
    def whole() -> None:
        report_verdicts()

    return whole
