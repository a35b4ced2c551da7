"""Sensors that tell people about a night that failed, that did not come, or that found something worse."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    DagsterEventType,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    JobDefinition,
    RunFailureSensorContext,
    RunsFilter,
    RunStatusSensorContext,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_failure_sensor,
    run_status_sensor,
    sensor,
)
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from orchestration.clock import last_due
from rectok.alerts.config import AlertConfig
from rectok.alerts.sending import Alert, Kind, send
from rectok.evaluation.history import HISTORY, read_history
from rectok.params.schema import NightlyParams

NIGHT = "rectok/night"
"""Tag of a run: the date of its night."""
SECONDS = 60
Clock = Callable[[], datetime]


def watchers(
    params: NightlyParams, root: Path, evaluation: JobDefinition, clock: Clock = lambda: datetime.now(UTC)
) -> list[SensorDefinition]:
    """The three of them. Without a webhook or a mail server in the parameters they only see what they would have sent."""
    return [
        _failed(params.alert, evaluation),
        _worse(params.alert, evaluation),
        _missed(params, root, evaluation.name, clock),
    ]


def _failed(config: AlertConfig, evaluation: JobDefinition) -> SensorDefinition:
    @run_failure_sensor(
        name="nightly_failed",
        description="Tells people that a night's run failed",
        monitored_jobs=[evaluation],
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def tell(context: RunFailureSensorContext) -> SkipReason:
        run = context.dagster_run
        reasons = [event.message for event in context.get_step_failure_events()] or [context.failure_event.message]
        details = [_cause(event) for event in context.get_step_failure_events()]
        text = "\n".join(part for part in (*details, *reasons) if part)
        return _told(config, "failed", _date(run), "failed", text, f"runs/{run.run_id}")

    return tell


def _cause(event: object) -> str:
    """The sentence that the command ended with."""
    error = getattr(getattr(event, "step_failure_data", None), "error", None)
    return str(error.message).strip() if error else ""


def _worse(config: AlertConfig, evaluation: JobDefinition) -> SensorDefinition:
    @run_status_sensor(
        run_status=DagsterRunStatus.SUCCESS,
        name="nightly_worse",
        description="Tells people what a night found worse than the accepted baseline",
        monitored_jobs=[evaluation],
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def tell(context: RunStatusSensorContext) -> SkipReason:
        run = context.dagster_run
        sentences = [found.description or "" for found in _judged(context, run.run_id) if not found.passed]
        if not sentences:
            return SkipReason("nothing got worse")
        text = "\n".join(sentences)
        return _told(config, "regression", _date(run), "found a regression", text, f"runs/{run.run_id}")

    return tell


def _judged(context: RunStatusSensorContext, run: str) -> Iterator[AssetCheckEvaluation]:
    records = context.instance.get_records_for_run(run, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event and isinstance(event.event_specific_data, AssetCheckEvaluation):
            yield event.event_specific_data


def _missed(params: NightlyParams, root: Path, name: str, clock: Clock) -> SensorDefinition:
    @sensor(
        name="nightly_missed",
        description="Tells people that a night has no figures although it should be over",
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=5 * SECONDS,
    )
    def look(context: SensorEvaluationContext) -> SensorResult:
        due = last_due(params, clock() - timedelta(hours=params.late_hours))
        date = due.date().isoformat()
        # The first look only says from when on nights count: a project that is new has missed none.
        known = context.cursor is None or date <= context.cursor
        if known or any(night.date == date for night in read_history(root / HISTORY)):
            return SensorResult(skip_reason=f"the night of {date} is accounted for", cursor=date)
        if context.instance.get_runs(_runs(name, date, [DagsterRunStatus.FAILURE]), limit=1):
            return SensorResult(skip_reason=f"the night of {date} failed, which was told", cursor=date)
        running = context.instance.get_runs(_runs(name, date, list(IN_PROGRESS_RUN_STATUSES)), limit=1)
        state = "Its run has not ended yet." if running else "No run of it is going on."
        text = f"It was due at {due.isoformat()} and has no figures {params.late_hours:g} hours later. {state}"
        reason = _told(params.alert, "missed", date, "did not come", text, "assets/nightly")
        return SensorResult(skip_reason=reason, cursor=date)

    return look


def _runs(name: str, date: str, statuses: list[DagsterRunStatus]) -> RunsFilter:
    return RunsFilter(job_name=name, tags={NIGHT: date}, statuses=statuses)


def _date(run: DagsterRun) -> str:
    """The date of a run's night, which its op notes where the schedule did not."""
    return run.tags.get(NIGHT, "an unknown date")


def _told(config: AlertConfig, kind: Kind, date: str, verb: str, text: str, page: str) -> SkipReason:
    """Send it. What cannot be delivered fails the sensor's tick, where Dagster shows why."""
    link = f"{config.ui.rstrip('/')}/{page}" if config.ui else ""
    sent = send(config, Alert(kind, date, f"rectok: the night of {date} {verb}", text, link))
    return SkipReason(f"sent by {' and '.join(sent)}" if sent else f"nightly.alert names no way to tell: {text}")
