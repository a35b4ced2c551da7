"""Notices what `dvc repro` made outside Dagster."""

from pathlib import Path

from dagster import (
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from orchestration.graph import Graph
from orchestration.jobs import PIPELINE
from orchestration.news import evaluations, materializations
from rectok.artifacts import DATA

SECONDS = 30


def external(graph: Graph, root: Path, verdicts: JobDefinition) -> SensorDefinition:
    """A sensor that reports artefacts which no run of Dagster has reported, and has `verdicts` report their gates."""

    @sensor(
        name="external",
        job=verdicts,
        description="Reports what `dvc repro` made and what its gates found outside Dagster",
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def look(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        now = state(root)
        if context.cursor == now:
            return SkipReason("dvc.lock and the gates' reports are as they were")
        busy = _busy(context, graph)
        made = list(materializations(context.instance, graph, root, busy))
        judged = any(True for _ in evaluations(context.instance, graph, root, busy))
        return SensorResult(
            asset_events=made,
            run_requests=[RunRequest(run_key=now)] if judged else [],
            # What a run is about to report itself is looked at again once that run is over.
            cursor=context.cursor if busy else now,
        )

    return look


def state(root: Path) -> str:
    """Changes whenever dvc.lock or any gate's report is replaced."""
    checks = root / DATA / "checks"
    folders = [checks, *sorted(path for path in checks.glob("*") if path.is_dir())]
    paths = [path for path in (root / "dvc.lock", *folders) if path.exists()]
    return " ".join(str(path.stat().st_mtime_ns) for path in paths)


def _busy(context: SensorEvaluationContext, graph: Graph) -> set[str]:
    """Names of the artefacts that a run of Dagster is making."""
    busy: set[str] = set()
    for run in context.instance.get_runs(RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES))):
        if run.asset_selection is not None:
            busy |= {key.path[-1] for key in run.asset_selection}
        elif run.job_name == PIPELINE:
            busy |= {artefact.name for artefact in graph.artefacts}
    return busy
