"""The nightly evaluation: a job, its schedule, the asset that it reports, and the check that says what got worse."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.assets.metadata import figures
from orchestration.assets.pictures import pictures
from orchestration.jobs import Event
from orchestration.launcher import Launcher, failure
from orchestration.nightly.alert_sensors import NIGHTLY_DATE, watchers
from orchestration.nightly.clock import longest_gap
from rectok.evaluation.metrics import nightly_metrics
from rectok.nightly import history
from rectok.nightly.history import HISTORY, LATEST, PAGE, REGRESSED, REGRESSION, read_history
from rectok.params.schema import NightlyParams
from rectok.pipeline.process import Finished

NAME = "nightly"
CHECK = "no_regression"
COMMAND = ("rectok", "nightly")
SHOWN_NIGHTS = 14
"""Newest nights in the asset's table; the page and history.csv have more."""


class NightlyRun(Config):
    """`date` (YYYY-MM-DD) gives the evaluation its seeds; today where it is empty."""

    date: str = ""


@dataclass(frozen=True)
class Finding:
    """Whether last night's figures were as good as before, a sentence for each that was not, and all limits."""

    passed: bool
    description: str
    metadata: dict[str, RawMetadataValue] = field(default_factory=dict)


def nightly(params: NightlyParams, root: Path, parents: Sequence[str], command: Sequence[str] = COMMAND) -> Definitions:
    """Everything that belongs to the nightly evaluation of what `parents` made.

    The asset is reported by the job and not made by itself, so that "Materialize all" stays what `dvc repro` does. It is
    fresh as long as the newest night is no older than one night and the hours that it may be late.
    """
    evaluation = _job(root, params.timezone, command)
    schedule = _schedule(evaluation, params)  # refuses a wrong cron line or time zone
    spec = AssetSpec(
        NAME,
        deps=list(parents),
        description="The accepted generator (`rectok promote`), evaluated every night with fresh seeds",
        group_name="evaluation",
        kinds={"torch", "torch-fidelity"},
        owners=["team:evaluation"],
        freshness_policy=FreshnessPolicy.time_window(longest_gap(params) + timedelta(hours=params.late_hours)),
    )

    @asset_check(asset=spec.key, name=CHECK, description="No figure is worse than its baseline by tolerance and noise")
    def no_regression() -> AssetCheckResult:
        found = read_finding(root)
        return AssetCheckResult(passed=found.passed, description=found.description, metadata=found.metadata)

    return Definitions(
        assets=[spec],
        asset_checks=[no_regression],
        jobs=[evaluation],
        schedules=[schedule],
        sensors=watchers(params, root, evaluation),
    )


def _job(root: Path, timezone: str, command: Sequence[str]) -> JobDefinition:
    @op(out=Out(Nothing), pool="accelerator", description=f"{' '.join(command)}, then its figures and what got worse")
    def evaluate_generator(
        context: OpExecutionContext, config: NightlyRun, launcher: Launcher
    ) -> Iterator[Event | Output[None]]:
        date = config.date or datetime.now(ZoneInfo(timezone)).date().isoformat()
        context.instance.add_run_tags(context.run_id, {NIGHTLY_DATE: date})
        finished = launcher.run(context, (*command, "--date", date))
        if finished.code and not _regressed(finished):
            raise failure(finished)
        yield AssetMaterialization(NAME, metadata=_shown(root))
        found = read_finding(root)
        yield AssetCheckEvaluation(
            AssetKey(NAME), CHECK, passed=found.passed, description=found.description, metadata=found.metadata
        )
        yield Output(None)

    @job(name=NAME, description="Evaluate the accepted generator with the seeds of a date")
    def whole() -> None:
        evaluate_generator()

    return whole


def _regressed(finished: Finished) -> bool:
    """A command line that cannot be parsed ends with the same code, but without a sentence."""
    return finished.code == REGRESSED and any(line.startswith(REGRESSION) for line in finished.lines)


def _schedule(evaluation: JobDefinition, params: NightlyParams) -> ScheduleDefinition:
    """After a time without Dagster's daemon, a schedule without partitions asks for its newest missed time only."""

    def request(context: ScheduleEvaluationContext) -> RunRequest:
        date = context.scheduled_execution_time.date().isoformat()
        config = RunConfig(ops={"evaluate_generator": NightlyRun(date=date)})
        return RunRequest(run_key=date, run_config=config, tags={NIGHTLY_DATE: date})

    return ScheduleDefinition(
        name=NAME,
        job=evaluation,
        cron_schedule=params.cron,
        execution_timezone=params.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        execution_fn=request,
        description="Says every night whether the model got worse",
    )


def _shown(root: Path) -> dict[str, RawMetadataValue]:
    """The night's figures, the newest nights as a table, the trend, and where the page is."""
    latest = figures(root / LATEST)
    latest.pop("comparisons", None)
    return {
        **latest,
        **_nights(root),
        "page": MetadataValue.path(str(root / PAGE)),
        **pictures((root / PAGE.parent).glob("*.png")),
    }


def _nights(root: Path) -> dict[str, RawMetadataValue]:
    newest = list(reversed(read_history(root / HISTORY)[-SHOWN_NIGHTS:]))
    return {"nights": MetadataValue.table([_row(night) for night in newest])} if newest else {}


def _row(night: history.NightlyRun) -> TableRecord:
    metrics = {metric.title: metric.text(night.metrics[name]) for name, metric in nightly_metrics().items()}
    verdict = "worse" if night.regressed else "good"
    return TableRecord({"date": night.date, **metrics, "generator": night.generator, "verdict": verdict})


def read_finding(root: Path) -> Finding:
    """What the last nightly evaluation of the project at `root` found."""
    try:
        latest: dict[str, Any] = json.loads((root / LATEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Finding(False, f"{LATEST} is missing: no nightly evaluation has run yet")
    sentences, found = latest["regressions"], latest.get("comparisons")
    compared = f"nothing got worse on {latest['date']}"
    if found == []:  # absent from nights of an older version
        compared = f"{latest['date']} has no baseline to compare with"
    metadata: dict[str, RawMetadataValue] = {}
    if found:
        metadata["limits"] = MetadataValue.table([TableRecord(finding) for finding in found])
    return Finding(not sentences, "; ".join(sentences) or compared, metadata)
