"""Notices what `dvc repro` made outside Dagster."""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from dagster import (
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from orchestration.graph.model import Graph
from orchestration.sync.events import being_made, confirmations, evaluations, materializations
from rectok.artifacts import DATA
from rectok.pipeline import status as looking
from rectok.pipeline.process import run_to_end

SECONDS = 30
PATIENCE = 45.0
"""Seconds that DVC may look inside a tick, which Dagster ends after a minute."""


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
            return SkipReason("dvc.lock, the parameters and the gates' reports are as they were")
        instance = context.instance
        busy = being_made(instance, graph)
        for event in materializations(instance, graph, root, busy):
            instance.report_runless_asset_event(event)
        sure = True
        try:
            for unchanged in confirmations(instance, graph, root, lambda: _changed(root), busy):
                instance.report_runless_asset_event(unchanged)
        except _Unanswered as reason:
            context.log.info(f"{reason}; asking again")
            sure = False
        judged = any(True for _ in evaluations(instance, graph, root, busy))
        return SensorResult(
            run_requests=[RunRequest(run_key=now)] if judged else [],
            # What a run is about to report itself is looked at again once that run is over.
            cursor=now if sure and not busy else context.cursor,
        )

    return look


class _Unanswered(Exception):
    """DVC did not say what has changed."""


def _changed(root: Path) -> Collection[str]:
    """The stages that DVC finds changed; no lock is waited for or held. Raises _Unanswered."""
    # -P: modules beside the program are not to be taken for those of the same name in the standard library.
    command = (sys.executable, "-P", "-m", looking.__name__)
    try:
        answer = run_to_end(command, root, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise _Unanswered(f"DVC takes more than {PATIENCE:.0f} s to look") from None
    if answer.returncode:
        raise _Unanswered((answer.stderr.strip().splitlines() or [f"DVC ended with {answer.returncode}"])[-1])
    stages: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return stages


def state(root: Path) -> str:
    """Changes whenever dvc.lock, the pipeline, its parameters or any gate's report is replaced."""
    checks = root / DATA / "checks"
    folders = [checks, *sorted(path for path in checks.glob("*") if path.is_dir())]
    files = [root / name for name in ("dvc.lock", "dvc.yaml", "params.yaml", "versions.yaml")]
    paths = [path for path in (*files, *folders) if path.exists()]
    return " ".join(str(path.stat().st_mtime_ns) for path in paths)
