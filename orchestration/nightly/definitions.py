"""The nightly run: its job, its schedule, its asset, and the asset check for regressions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from orchestration.assets.headlines import metric_numbers
from orchestration.assets.images import inline_images
from orchestration.assets.metadata import Metadata, page_links, table
from orchestration.launcher import Launcher, failure, without_dagster_warnings
from orchestration.nightly.alert_sensors import NAME, NIGHTLY_DATE, OPERATION, alert_sensors
from orchestration.private import cron_string_iterator
from rectok.artifacts import read_json
from rectok.errors import UserError
from rectok.evaluation.metrics import METRICS, nightly_metrics
from rectok.nightly.history import HISTORY, LATEST, PAGE, REGRESSED, REGRESSION, read_history, result_text
from rectok.params.schema import NightlyParams

CHECK = "no_regression"
PARTITION = "dagster/partition"
"""Dagster's tag of a run of one partition."""
COMMAND = ("rectok", "nightly")
Event = dg.MaterializeResult[None] | dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.Output[None]
COMING_RUNS = 32
"""Nightly runs among which the longest time between two is looked for, about a month of them."""
SHOWN_RUNS = 14
"""Newest nightly runs in the asset's table. The page and history.csv have more."""
LIMITS = {
    "metric": "its title",
    "this run": "as measured",
    "baseline": "the mean of the promoted generator's first measurements",
    "limit": "beyond it the metric is worse",
    "noise (σ)": "the standard deviation of one run",
    "result": "good or worse",
    "measurements": "in the baseline",
    "source of the noise": "what σ was estimated from",
}
"""Columns of the check's table, each with its description."""


def nightly(
    params: NightlyParams,
    root: Path,
    parents: Mapping[str, bool],
    command: Sequence[str] = COMMAND,
    first: str = "",
) -> dg.Definitions:
    """All definitions of the nightly run, which evaluates what `parents` made; the value of a parent says if it has shards.

    The asset has a partition per date (YYYY-MM-DD), which seeds the evaluation, from `first` on or else from the history's
    oldest date. It is fresh until a run is late.
    """
    schedule = _schedule(params)  # raises if the cron line or the time zone is wrong
    asset = _asset(params, root, parents, command, first or _first_date(root, params))
    evaluation = dg.define_asset_job(
        NAME, [asset], description="Evaluate the promoted generator with the seeds of a date"
    )
    return dg.Definitions(
        assets=[asset],
        jobs=[evaluation],
        schedules=[schedule],
        sensors=alert_sensors(params, root, NAME),
    )


def _first_date(root: Path, params: NightlyParams) -> str:
    """The oldest date of the history, so that a backfill of all dates adds no runs of earlier ones. Today without a history."""
    with suppress(UserError):  # the run says what is wrong with a damaged history
        if history := read_history(root / HISTORY):
            return history[0].date
    return datetime.now(ZoneInfo(params.timezone)).date().isoformat()


def _asset(
    params: NightlyParams, root: Path, parents: Mapping[str, bool], command: Sequence[str], first: str
) -> dg.AssetsDefinition:
    times = cron_string_iterator(datetime(2026, 1, 1).timestamp(), params.cron, params.timezone)
    longest_gap = max(after - before for before, after in pairwise(islice(times, COMING_RUNS)))
    all_shards = dg.AllPartitionMapping()
    # Today has a partition, too: the night's run is named after the day on which it starts.
    days = dg.DailyPartitionsDefinition(first, timezone=params.timezone, end_offset=1)
    spec = dg.AssetSpec(
        NAME,
        deps=[
            dg.AssetDep(name, partition_mapping=all_shards if sharded else None) for name, sharded in parents.items()
        ],
        description="The promoted generator (`rectok promote`), evaluated every night with fresh seeds",
        group_name="evaluation",
        kinds={"torch", "torch-fidelity"},
        owners=["team:evaluation"],
        freshness_policy=dg.FreshnessPolicy.time_window(longest_gap + timedelta(hours=params.late_hours)),
        partitions_def=days,
        skippable=True,  # a run of many dates reports each by an event of its own
    )
    description = "No metric is worse than its baseline by more than tolerance and noise"
    with without_dagster_warnings():
        check = dg.AssetCheckSpec(CHECK, asset=NAME, description=description, partitions_def=days)

    @dg.multi_asset(
        name=OPERATION,
        specs=[spec],
        check_specs=[check],
        pool="accelerator",
        # One run for all dates of a backfill evaluates only those without metrics.
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"{' '.join(command)}, then its metrics",
    )
    def evaluate_generator(context: dg.AssetExecutionContext, launcher: Launcher) -> Iterator[Event]:
        context.instance.add_run_tags(context.run.run_id, {NIGHTLY_DATE: context.partition_keys[-1]})
        if context.has_partition_key_range:
            yield from _evaluate_dates(context, launcher, root, command)
            # Dagster asks for the check's output, too, although its results came as an event for each date.
            yield dg.Output(None, check.get_python_identifier())
        else:
            _evaluate(context, launcher, (*command, "--date", context.partition_key))
            yield dg.MaterializeResult(metadata=_metadata(root), check_results=[read_regression_result(root)])

    return evaluate_generator


def _evaluate_dates(
    context: dg.AssetExecutionContext, launcher: Launcher, root: Path, command: Sequence[str]
) -> Iterator[Event]:
    """Evaluate the dates that the history lacks, and report each with its check at once.

    The dates before one that fails keep what they have.
    """
    known = {run.date: run for run in read_history(root / HISTORY)}
    for date in context.partition_keys:
        if date in known:
            metrics: Metadata = dict(metric_numbers(nightly_metrics(), known[date].metrics))
            yield dg.AssetMaterialization(NAME, partition=date, metadata=metrics)
            continue
        _evaluate(context, launcher, (*command, "--date", date))
        yield dg.AssetMaterialization(NAME, partition=date, metadata=_metadata(root))
        result = read_regression_result(root)
        yield dg.AssetCheckEvaluation(
            dg.AssetKey(NAME),
            CHECK,
            passed=result.passed,
            description=result.description,
            metadata=result.metadata,
            partition=date,
        )


def _evaluate(context: dg.AssetExecutionContext, launcher: Launcher, command: Sequence[str]) -> None:
    """Raises Failure if the evaluation cannot run. A regression is no failure: the check shows it."""
    finished = launcher.run(context, command)
    # A command line that cannot be parsed has the same exit code, but prints no regression.
    regressed = finished.code == REGRESSED and any(line.startswith(REGRESSION) for line in finished.lines)
    if finished.code and not regressed:
        raise failure(finished)


def _schedule(params: NightlyParams) -> dg.ScheduleDefinition:
    """After a time without Dagster's daemon, the schedule requests only the newest run that it missed."""

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        date = context.scheduled_execution_time.date().isoformat()
        return dg.RunRequest(run_key=date, tags={PARTITION: date, NIGHTLY_DATE: date})

    return dg.ScheduleDefinition(
        name=NAME,
        job_name=NAME,
        cron_schedule=params.cron,
        execution_timezone=params.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        execution_fn=request,
        description="Evaluates the promoted generator every night and reports regressions",
    )


def _metadata(root: Path) -> Metadata:
    """The run's metrics, a link to the page, the newest nightly runs as a table, the trend, and the rest in one row."""
    latest: dict[str, Any] = read_json(root / LATEST)
    metrics: Metadata = dict(metric_numbers(nightly_metrics(), latest | latest.get("metrics", {})))
    pictures = list((root / PAGE.parent).glob("*.png"))
    links = page_links(root, [root / PAGE], pictures, str(latest["date"]))
    history = read_history(root / HISTORY)
    rows = [
        {
            "date": run.date,
            "result": result_text(run, history),
            **{metric.title: metric.text(run.metrics[name]) for name, metric in nightly_metrics().items()},
            "generator": run.generator,
        }
        for run in history[: -SHOWN_RUNS - 1 : -1]
    ]
    runs = {"nightly runs": table(dict.fromkeys(rows[0], ""), rows)} if rows else {}
    details = {"details": dg.MetadataValue.json(latest)}
    return {**metrics, "date": str(latest["date"]), **links, **runs, **inline_images(pictures), **details}


def read_regression_result(root: Path) -> dg.AssetCheckResult:
    """The last nightly run's check: a sentence for each metric that got worse, and a table of all limits."""
    try:
        latest: dict[str, Any] = read_json(root / LATEST)
    except FileNotFoundError:
        missing = f"{LATEST} is missing: no nightly run has ended yet"
        return dg.AssetCheckResult(check_name=CHECK, passed=False, description=missing)
    regressions, comparisons = latest["regressions"], latest.get("comparisons")
    description = f"nothing got worse on {latest['date']}"
    if comparisons == []:  # runs of an older version have no such key
        description = f"{latest['date']} has no baseline to compare with"
    metadata: Metadata = {}
    if comparisons:
        metadata["limits"] = table(LIMITS, [_limit_row(each) for each in comparisons])
    sentences = "; ".join(regressions)
    return dg.AssetCheckResult(
        check_name=CHECK, passed=not regressions, description=sentences or description, metadata=metadata
    )


def _limit_row(comparison: Mapping[str, Any]) -> dict[str, str | int]:
    """A comparison of latest.json in words, as on the page: the columns of LIMITS."""
    metric = METRICS[comparison["metric"]]
    figures = [metric.text(comparison[name]) for name in ("value", "baseline", "limit", "noise")]
    result = "worse" if comparison["regressed"] else "good"
    values = (metric.title, *figures, result, comparison["measurements"], comparison["source"])
    return dict(zip(LIMITS, values, strict=True))
