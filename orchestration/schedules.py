"""The nightly evaluation: a job, its schedule, the asset that it reports, and the check that says what got worse."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    Config,
    DefaultScheduleStatus,
    Definitions,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    Out,
    Output,
    RunConfig,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    asset_check,
    job,
    op,
)

from orchestration.jobs import Event
from orchestration.launcher import Launcher
from orchestration.pictures import pictures
from orchestration.results import figures
from rectok.artifacts import stage_dir
from rectok.params.schema import NightlyParams

NAME = "nightly"
CHECK = "no_regression"
COMMAND = ("rectok", "nightly")
LATEST = stage_dir(NAME) / "latest.json"


class Night(Config):
    """`date` (YYYY-MM-DD) gives the evaluation its seeds; today where it is empty."""

    date: str = ""


@dataclass(frozen=True)
class Finding:
    """Whether last night's figures were as good as before, and a sentence for each that was not."""

    passed: bool
    description: str


def nightly(params: NightlyParams, root: Path, parents: Sequence[str], command: Sequence[str] = COMMAND) -> Definitions:
    """Everything that belongs to the nightly evaluation of what `parents` made.

    The asset is reported by the job and not made by itself, so that "Materialize all" stays what `dvc repro` does.
    """
    spec = AssetSpec(
        NAME,
        deps=list(parents),
        description="The current generator, evaluated every night with fresh seeds",
        group_name="evaluation",
        kinds={"torch", "torch-fidelity"},
        owners=["team:evaluation"],
    )

    @asset_check(asset=spec.key, name=CHECK, description="No figure is worse than before by more than its tolerance")
    def no_regression() -> AssetCheckResult:
        found = read_finding(root)
        return AssetCheckResult(passed=found.passed, description=found.description)

    evaluation = _job(root, command)
    return Definitions(
        assets=[spec], asset_checks=[no_regression], jobs=[evaluation], schedules=[_schedule(evaluation, params)]
    )


def _job(root: Path, command: Sequence[str]) -> JobDefinition:
    @op(out=Out(Nothing), pool="accelerator", description=f"{' '.join(command)}, then its figures and what got worse")
    def evaluate_generator(
        context: OpExecutionContext, config: Night, launcher: Launcher
    ) -> Iterator[Event | Output[None]]:
        dated = ("--date", config.date) if config.date else ()
        finished = launcher.run(context, (*command, *dated))
        if finished.code:
            raise finished.failure()
        folder = root / stage_dir(NAME)
        yield AssetMaterialization(NAME, metadata=figures(root / LATEST) | pictures(folder.glob("*.png")))
        found = read_finding(root)
        yield AssetCheckEvaluation(AssetKey(NAME), CHECK, passed=found.passed, description=found.description)
        yield Output(None)

    @job(name=NAME, description="Evaluate the current generator with the seeds of a date")
    def whole() -> None:
        evaluate_generator()

    return whole


def _schedule(evaluation: JobDefinition, params: NightlyParams) -> ScheduleDefinition:
    def request(context: ScheduleEvaluationContext) -> RunRequest:
        date = context.scheduled_execution_time.date().isoformat()
        return RunRequest(run_key=date, run_config=RunConfig(ops={"evaluate_generator": Night(date=date)}))

    return ScheduleDefinition(
        name=NAME,
        job=evaluation,
        cron_schedule=params.cron,
        execution_timezone=params.timezone,
        default_status=DefaultScheduleStatus.RUNNING,
        execution_fn=request,
        description="Says every night whether the model got worse",
    )


def read_finding(root: Path) -> Finding:
    """What the last nightly evaluation of the project at `root` found."""
    try:
        latest: dict[str, Any] = json.loads((root / LATEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Finding(False, f"{LATEST} is missing: no nightly evaluation has run yet")
    sentences = latest["regressions"]
    return Finding(not sentences, "; ".join(sentences) or f"nothing got worse on {latest['date']}")
