"""Notices what `dvc repro` made outside Dagster."""

from pathlib import Path

from dagster import (
    DefaultSensorStatus,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from orchestration.graph import Graph
from orchestration.news import news
from rectok.artifacts import DATA

SECONDS = 30


def external(graph: Graph, root: Path) -> SensorDefinition:
    """A sensor that reports artefacts and gate results which no run of Dagster has reported."""

    @sensor(
        name="external",
        description="Reports what `dvc repro` made and what its gates found outside Dagster",
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def look(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        now = state(root)
        if context.cursor == now:
            return SkipReason("dvc.lock and the gates' reports are as they were")
        busy = _busy(context, graph)
        events = list(news(context.instance, graph, root, busy))
        # What a run is about to report itself is looked at again once that run is over.
        return SensorResult(asset_events=events, cursor=context.cursor if busy else now)

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
        if run.asset_selection is None:
            busy |= {artefact.name for artefact in graph.artefacts}
        else:
            busy |= {key.path[-1] for key in run.asset_selection}
    return busy
