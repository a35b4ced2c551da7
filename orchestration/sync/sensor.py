"""The sensor that reports what `dvc repro` made outside Dagster."""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import dagster as dg

from orchestration.graph.model import Graph
from orchestration.sync.events import being_made, confirmations, evaluations, materializations
from rectok.artifacts import DATA
from rectok.pipeline import status
from rectok.pipeline.process import run_to_end

DVC_TIMEOUT = 45.0
"""Seconds that DVC may take inside a tick. Dagster ends a tick after a minute."""


def external(graph: Graph, root: Path, check_results: dg.JobDefinition, seconds: int) -> dg.SensorDefinition:
    """A sensor that reports artefacts of `dvc repro` every `seconds`, and requests a run of `check_results` for their gates."""

    @dg.sensor(
        name="external",
        job=check_results,
        description="Reports what `dvc repro` made and what its gates found outside Dagster",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=seconds,
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        state = project_state(root)
        if context.cursor == state:
            return dg.SkipReason("dvc.lock, the parameters and the gates' reports have not changed")
        instance = context.instance
        busy = being_made(instance, graph)
        for event in materializations(instance, graph, root, busy):
            instance.report_runless_asset_event(event)
        complete = not busy  # what a run is making now is reported once that run is over
        try:
            for unchanged in confirmations(instance, graph, root, lambda: _changed(root), busy):
                instance.report_runless_asset_event(unchanged)
        except _NoStatus as reason:
            context.log.info(f"{reason}; trying again")
            complete = False
        new_results = any(True for _ in evaluations(instance, graph, root, busy))
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=state)] if new_results else [],
            cursor=state if complete else context.cursor,
        )

    return report


class _NoStatus(Exception):
    """DVC did not say which stages have changed."""


def _changed(root: Path) -> Collection[str]:
    """The stages that DVC finds changed. Neither waits for DVC's locks nor holds them. Raises _NoStatus."""
    # -P: the modules beside the program must not shadow those of the standard library.
    command = (sys.executable, "-P", "-m", status.__name__)
    try:
        answer = run_to_end(command, root, capture_output=True, timeout=DVC_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise _NoStatus(f"DVC takes more than {DVC_TIMEOUT:.0f} s for its status") from None
    if answer.returncode:
        raise _NoStatus((answer.stderr.strip().splitlines() or [f"DVC ended with {answer.returncode}"])[-1])
    stages: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return stages


def project_state(root: Path) -> str:
    """Changes when dvc.lock, the pipeline, its parameters or any gate's report is replaced."""
    checks = root / DATA / "checks"
    folders = [checks, *sorted(path for path in checks.glob("*") if path.is_dir())]
    files = [root / name for name in ("dvc.lock", "dvc.yaml", "params.yaml", "versions.yaml")]
    paths = [path for path in (*files, *folders) if path.exists()]
    return " ".join(str(path.stat().st_mtime_ns) for path in paths)
