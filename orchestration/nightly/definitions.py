"""The nightly run: its job, its schedule, its asset, and the asset check for regressions."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    Config,
    DefaultScheduleStatus,
    Definitions,
    FreshnessPolicy,
    JobDefinition,
    MetadataValue,
    Nothing,
    OpExecutionContext,
    Out,
    Output,
    RunConfig,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    TableRecord,
    asset_check,
    job,
    op,
)

from orchestration.assets.images import inline_images
from orchestration.assets.metadata import Metadata, json_metadata
from orchestration.launcher import Launcher, failure
from orchestration.nightly.alert_sensors import NIGHTLY_DATE, alert_sensors
from orchestration.private import cron_string_iterator
from rectok.evaluation.metrics import nightly_metrics
from rectok.nightly import history
from rectok.nightly.history import HISTORY, LATEST, PAGE, REGRESSED, REGRESSION, read_history
from rectok.params.schema import NightlyParams
from rectok.pipeline.process import Finished

NAME = "nightly"
CHECK = "no_regression"
COMMAND = ("rectok", "nightly")
COMING_RUNS = 32
"""Nightly runs among which the longest time between two is looked for, about a month of them."""
SHOWN_RUNS = 14
"""Newest nightly runs in the asset's table. The page and history.csv have more."""


class NightlyConfig(Config):
    """`date` (YYYY-MM-DD) seeds the evaluation. Empty means today."""

    date: str = ""


def nightly(params: NightlyParams, root: Path, parents: Sequence[str], command: Sequence[str] = COMMAND) -> Definitions:
    """All definitions of the nightly run, which evaluates what `parents` made.

    The job reports the asset, and the asset cannot be materialized: "Materialize all" must do what `dvc repro` does. The
    asset is fresh until the next nightly run is late.
    """
    evaluation = _job(root, params.timezone, command)
    schedule = _schedule(evaluation, params)  # raises if the cron line or the time zone is wrong
    times = cron_string_iterator(datetime(2026, 1, 1).timestamp(), params.cron, params.timezone)
    longest_gap = max(after - before for before, after in pairwise(islice(times, COMING_RUNS)))
    spec = AssetSpec(
        NAME,
        deps=list(parents),
        description="The active baseline (`rectok promote`), evaluated every night with fresh seeds",
        group_name="evaluation",
        kinds={"torch", "torch-fidelity"},
        owners=["team:evaluation"],
        freshness_policy=FreshnessPolicy.time_window(longest_gap + timedelta(hours=params.late_hours)),
    )

    @asset_check(
        asset=spec.key, name=CHECK, description="No metric is worse than its baseline by more than tolerance and noise"
    )
    def no_regression() -> AssetCheckResult:
        return read_regression_result(root)

    return Definitions(
        assets=[spec],
        asset_checks=[no_regression],
        jobs=[evaluation],
        schedules=[schedule],
        sensors=alert_sensors(params, root, evaluation),
    )


def _job(root: Path, timezone: str, command: Sequence[str]) -> JobDefinition:
    @op(out=Out(Nothing), pool="accelerator", description=f"{' '.join(command)}, then its metrics and its regressions")
    def evaluate_generator(
        context: OpExecutionContext, config: NightlyConfig, launcher: Launcher
    ) -> Iterator[AssetMaterialization | AssetCheckEvaluation | Output[None]]:
        date = config.date or datetime.now(ZoneInfo(timezone)).date().isoformat()
        context.instance.add_run_tags(context.run_id, {NIGHTLY_DATE: date})
        finished = launcher.run(context, (*command, "--date", date))
        if finished.code and not _regressed(finished):
            raise failure(finished)
        yield AssetMaterialization(NAME, metadata=_metadata(root))
        result = read_regression_result(root)
        yield AssetCheckEvaluation(
            AssetKey(NAME), CHECK, result.passed, result.metadata, description=result.description
        )
        yield Output(None)

    @job(name=NAME, description="Evaluate the active baseline with the seeds of a date")
    def whole() -> None:
        evaluate_generator()

    return whole


def _regressed(finished: Finished) -> bool:
    """A command line that cannot be parsed has the same exit code, but prints no regression."""
    return finished.code == REGRESSED and any(line.startswith(REGRESSION) for line in finished.lines)


def _schedule(evaluation: JobDefinition, params: NightlyParams) -> ScheduleDefinition:
    """After a time without Dagster's daemon, the schedule requests only the newest run that it missed."""

    def request(context: ScheduleEvaluationContext) -> RunRequest:
        date = context.scheduled_execution_time.date().isoformat()
        config = RunConfig(ops={"evaluate_generator": NightlyConfig(date=date)})
        return RunRequest(run_key=date, run_config=config, tags={NIGHTLY_DATE: date})

    return ScheduleDefinition(
        name=NAME,
        job=evaluation,
        cron_schedule=params.cron,
        execution_timezone=params.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        execution_fn=request,
        description="Evaluates the active baseline every night and reports regressions",
    )


def _metadata(root: Path) -> Metadata:
    """The run's metrics, the newest nightly runs as a table, the trend, and the path of the page."""
    metrics = json_metadata(root / LATEST)
    metrics.pop("comparisons", None)
    page = {"page": MetadataValue.path(str(root / PAGE))}
    return {**metrics, **_runs(root), **page, **inline_images((root / PAGE.parent).glob("*.png"))}


def _runs(root: Path) -> Metadata:
    newest = list(reversed(read_history(root / HISTORY)[-SHOWN_RUNS:]))
    return {"nightly_runs": MetadataValue.table([_row(run) for run in newest])} if newest else {}


def _row(run: history.NightlyRun) -> TableRecord:
    metrics = {metric.title: metric.text(run.metrics[name]) for name, metric in nightly_metrics().items()}
    result = "worse" if run.regressed else "good"
    return TableRecord({"date": run.date, **metrics, "generator": run.generator, "result": result})


def read_regression_result(root: Path) -> AssetCheckResult:
    """The last nightly run's check: a sentence for each metric that got worse, and a table of all limits."""
    try:
        latest: dict[str, Any] = json.loads((root / LATEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return AssetCheckResult(passed=False, description=f"{LATEST} is missing: no nightly run has ended yet")
    regressions, comparisons = latest["regressions"], latest.get("comparisons")
    description = f"nothing got worse on {latest['date']}"
    if comparisons == []:  # runs of an older version have no such key
        description = f"{latest['date']} has no baseline to compare with"
    metadata: Metadata = {}
    if comparisons:
        metadata["limits"] = MetadataValue.table([TableRecord(each) for each in comparisons])
    sentences = "; ".join(regressions)
    return AssetCheckResult(passed=not regressions, description=sentences or description, metadata=metadata)
