"""Jobs that select no assets: the whole pipeline as one run, and the report of check results from outside."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from orchestration.assets.progress import Observer
from orchestration.graph.model import Graph
from orchestration.launcher import Launcher, failure, single_op_job
from orchestration.sync.events import PIPELINE, being_made, evaluations, materializations

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


def pipeline(graph: Graph, root: Path) -> dg.JobDefinition:
    """`rectok repro` as one run, with one log and one thing to cancel, that reports every new artefact and check result.

    "Materialize all" is a backfill, with a run for each set of partitions.
    """

    @dg.op(
        out=dg.Out(dg.Nothing),
        pool="accelerator",  # it trains, and another training would share its GPUs
        description="rectok repro, then an event for every new artefact and every new check result",
    )
    def dvc_repro(context: dg.OpExecutionContext, launcher: Launcher) -> Iterator[Event]:
        finished = launcher.repro(context, on_message=Observer(context, root))
        yield from materializations(context.instance, graph, root)
        yield from evaluations(context.instance, graph, root)
        if finished.code:
            raise failure(finished)

    return single_op_job(dvc_repro, PIPELINE, "The whole of dvc.yaml in one run, as `rectok repro` does it")


def check_results(graph: Graph, root: Path) -> dg.JobDefinition:
    """Reports results of gates that ran outside Dagster: outside a run, the event log takes one per check and shard."""

    @dg.op(out=dg.Out(dg.Nothing), description="An event for every new check result; it runs no stage")
    def report_check_results(context: dg.OpExecutionContext) -> Iterator[Event]:
        # A run that is making an artefact reports its gate itself. The older result is out of date by then.
        yield from evaluations(context.instance, graph, root, being_made(context.instance, graph))

    description = "Report check results from outside Dagster, for the sensor `external`"
    return single_op_job(report_check_results, "check_results", description)
