"""The nightly run: its job, its schedule, its asset, and the asset check for regressions."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from orchestration.assets.images import inline_images
from orchestration.assets.metadata import Metadata, json_metadata
from orchestration.launcher import Launcher, failure, single_op_job
from orchestration.nightly.alert_sensors import NIGHTLY_DATE, alert_sensors
from orchestration.private import cron_string_iterator
from rectok.artifacts import read_json
from rectok.evaluation.metrics import nightly_metrics
from rectok.nightly.history import HISTORY, LATEST, PAGE, REGRESSED, REGRESSION, read_history
from rectok.params.schema import NightlyParams

NAME = "nightly"
CHECK = "no_regression"
COMMAND = ("rectok", "nightly")
COMING_RUNS = 32
"""Nightly runs among which the longest time between two is looked for, about a month of them."""
SHOWN_RUNS = 14
"""Newest nightly runs in the asset's table. The page and history.csv have more."""


class NightlyConfig(dg.Config):
    """`date` (YYYY-MM-DD) seeds the evaluation. Empty means today."""

    date: str = ""


def nightly(
    params: NightlyParams, root: Path, parents: Sequence[str], command: Sequence[str] = COMMAND
) -> dg.Definitions:
    """All definitions of the nightly run, which evaluates what `parents` made.

    The job reports the asset, since "Materialize all" must do what `dvc repro` does. It is fresh until a run is late.
    """
    evaluation = _job(root, params.timezone, command)
    schedule = _schedule(evaluation, params)  # raises if the cron line or the time zone is wrong
    times = cron_string_iterator(datetime(2026, 1, 1).timestamp(), params.cron, params.timezone)
    longest_gap = max(after - before for before, after in pairwise(islice(times, COMING_RUNS)))
    spec = dg.AssetSpec(
        NAME,
        deps=list(parents),
        description="The promoted generator (`rectok promote`), evaluated every night with fresh seeds",
        group_name="evaluation",
        kinds={"torch", "torch-fidelity"},
        owners=["team:evaluation"],
        freshness_policy=dg.FreshnessPolicy.time_window(longest_gap + timedelta(hours=params.late_hours)),
    )

    @dg.asset_check(
        asset=spec.key, name=CHECK, description="No metric is worse than its baseline by more than tolerance and noise"
    )
    def no_regression() -> dg.AssetCheckResult:
        return read_regression_result(root)

    return dg.Definitions(
        assets=[spec],
        asset_checks=[no_regression],
        jobs=[evaluation],
        schedules=[schedule],
        sensors=alert_sensors(params, root, evaluation),
    )


def _job(root: Path, timezone: str, command: Sequence[str]) -> dg.JobDefinition:
    @dg.op(
        out=dg.Out(dg.Nothing),
        pool="accelerator",
        description=f"{' '.join(command)}, then its metrics and its regressions",
    )
    def evaluate_generator(
        context: dg.OpExecutionContext, config: NightlyConfig, launcher: Launcher
    ) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        date = config.date or datetime.now(ZoneInfo(timezone)).date().isoformat()
        context.instance.add_run_tags(context.run_id, {NIGHTLY_DATE: date})
        finished = launcher.run(context, (*command, "--date", date))
        # A command line that cannot be parsed has the same exit code, but prints no regression.
        regressed = finished.code == REGRESSED and any(line.startswith(REGRESSION) for line in finished.lines)
        if finished.code and not regressed:
            raise failure(finished)
        yield dg.AssetMaterialization(NAME, metadata=_metadata(root))
        result = read_regression_result(root)
        text = result.description
        yield dg.AssetCheckEvaluation(dg.AssetKey(NAME), CHECK, result.passed, result.metadata, description=text)

    return single_op_job(evaluate_generator, NAME, "Evaluate the promoted generator with the seeds of a date")


def _schedule(evaluation: dg.JobDefinition, params: NightlyParams) -> dg.ScheduleDefinition:
    """After a time without Dagster's daemon, the schedule requests only the newest run that it missed."""

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        date = context.scheduled_execution_time.date().isoformat()
        config = dg.RunConfig(ops={"evaluate_generator": NightlyConfig(date=date)})
        return dg.RunRequest(run_key=date, run_config=config, tags={NIGHTLY_DATE: date})

    return dg.ScheduleDefinition(
        name=NAME,
        job=evaluation,
        cron_schedule=params.cron,
        execution_timezone=params.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        execution_fn=request,
        description="Evaluates the promoted generator every night and reports regressions",
    )


def _metadata(root: Path) -> Metadata:
    """The run's metrics, the newest nightly runs as a table, the trend, and the path of the page."""
    metrics = json_metadata(root / LATEST)
    metrics.pop("comparisons", None)
    page = {"page": dg.MetadataValue.path(str(root / PAGE))}
    rows = [
        {
            "date": run.date,
            **{metric.title: metric.text(run.metrics[name]) for name, metric in nightly_metrics().items()},
            "generator": run.generator,
            "result": "worse" if run.regressed else "good",
        }
        for run in read_history(root / HISTORY)[: -SHOWN_RUNS - 1 : -1]
    ]
    runs = {"nightly_runs": dg.MetadataValue.table([dg.TableRecord(row) for row in rows])} if rows else {}
    return {**metrics, **runs, **page, **inline_images((root / PAGE.parent).glob("*.png"))}


def read_regression_result(root: Path) -> dg.AssetCheckResult:
    """The last nightly run's check: a sentence for each metric that got worse, and a table of all limits."""
    try:
        latest: dict[str, Any] = read_json(root / LATEST)
    except FileNotFoundError:
        return dg.AssetCheckResult(passed=False, description=f"{LATEST} is missing: no nightly run has ended yet")
    regressions, comparisons = latest["regressions"], latest.get("comparisons")
    description = f"nothing got worse on {latest['date']}"
    if comparisons == []:  # runs of an older version have no such key
        description = f"{latest['date']} has no baseline to compare with"
    metadata: Metadata = {}
    if comparisons:
        metadata["limits"] = dg.MetadataValue.table([dg.TableRecord(each) for each in comparisons])
    sentences = "; ".join(regressions)
    return dg.AssetCheckResult(passed=not regressions, description=sentences or description, metadata=metadata)
