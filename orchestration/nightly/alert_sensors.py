"""Sensors that tell people about a night that failed, that did not come, or that found something worse."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    JobDefinition,
    RunRecord,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from orchestration.nightly.clock import last_due
from orchestration.nightly.delivery import PATIENCE, Memory, remembered, told
from rectok.alerts.alert_config import AlertConfig
from rectok.alerts.sending import Alert, AlertKind
from rectok.errors import UserError
from rectok.nightly.history import HISTORY, read_history
from rectok.params.schema import NightlyParams

NIGHTLY_DATE = "rectok/night"
"""Tag of a run: the date of its night."""
SECONDS = 60
MOST = 50
"""Newest runs that a sensor looks at and remembers."""
Clock = Callable[[], datetime]


def watchers(
    params: NightlyParams, root: Path, evaluation: JobDefinition, clock: Clock = lambda: datetime.now(UTC)
) -> list[SensorDefinition]:
    """The three of them. Without a webhook or a mail server in the parameters they only see what they would have sent.

    Dagster's own run status sensors go on to the next run when an alert could not be delivered, and would lose it.
    """
    ended = [_ended(each, params.alert, evaluation.name, clock) for each in (FAILED, WORSE)]
    return [*ended, _missed(params, root, evaluation.name, clock)]


@dataclass(frozen=True)
class _Ending:
    """How a run may end, and what is told of it: `text` gives nothing where all is well."""

    sensor: str
    description: str
    status: DagsterRunStatus
    kind: AlertKind
    verb: str
    text: Callable[[DagsterInstance, DagsterRun], str]


def _failure(instance: DagsterInstance, run: DagsterRun) -> str:
    """The sentences that the commands ended with, and what Dagster says of it."""
    steps = list(_events(instance, run, DagsterEventType.STEP_FAILURE))
    errors = [event.step_failure_data.error for event in steps]
    causes = [str(error.message).strip() for error in errors if error]
    reasons = [event.message for event in steps or _events(instance, run, DagsterEventType.RUN_FAILURE)]
    return "\n".join(part for part in (*causes, *reasons) if part) or "Dagster does not say why."


def _regressions(instance: DagsterInstance, run: DagsterRun) -> str:
    events = _events(instance, run, DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [event.event_specific_data for event in events]
    checks = [check for check in found if isinstance(check, AssetCheckEvaluation) and not check.passed]
    return "\n".join(check.description or check.check_name for check in checks)


def _events(instance: DagsterInstance, run: DagsterRun, kind: DagsterEventType) -> Iterator[DagsterEvent]:
    for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
        if record.event_log_entry.dagster_event:
            yield record.event_log_entry.dagster_event


FAILED = _Ending(
    "nightly_failed", "Tells people that a night's run failed", DagsterRunStatus.FAILURE, "failed", "failed", _failure
)
WORSE = _Ending(
    "nightly_worse",
    "Tells people what a night found worse than the accepted baseline",
    DagsterRunStatus.SUCCESS,
    "regression",
    "found a regression",
    _regressions,
)


def _ended(ending: _Ending, config: AlertConfig, job: str, clock: Clock) -> SensorDefinition:
    @sensor(
        name=ending.sensor,
        description=ending.description,
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def look(context: SensorEvaluationContext) -> SensorResult:
        now = clock()
        # What was before the first look is no news.
        memory = remembered(context.cursor) or Memory(now.isoformat())
        after = max(now - PATIENCE, datetime.fromisoformat(memory.since))
        runs = _newest(context, job, ending.status, after)
        alerts = {run.run_id: partial(_of_run, ending, config, context.instance, run) for run in runs}
        return told(config, memory, context.cursor, alerts, "there is nothing to tell")

    return look


def _newest(
    context: SensorEvaluationContext, job: str, status: DagsterRunStatus, after: datetime
) -> Sequence[DagsterRun]:
    """This code location's runs that ended after a time, oldest first. A later change of its tags makes no run new."""
    which = RunsFilter(job_name=job, statuses=[status], updated_after=after)
    records = context.instance.get_run_records(which)
    runs = [each.dagster_run for each in records if _end(each) > after.timestamp()]
    ours = [run for run in runs if _ours(context, run)]
    return ours[:MOST][::-1]


def _end(record: RunRecord) -> float:
    """Where Dagster's tables are old they have no time of the end."""
    return record.end_time or record.update_timestamp.timestamp()


def _ours(context: SensorEvaluationContext, run: DagsterRun) -> bool:
    """Another project on the same Dagster has a job of this name, too, and tells of it itself."""
    here, there = context.code_location_origin, run.remote_job_origin
    return not (here and there) or here.location_name == there.repository_origin.code_location_origin.location_name


def _of_run(ending: _Ending, config: AlertConfig, instance: DagsterInstance, run: DagsterRun) -> Alert | None:
    text = ending.text(instance, run)
    # The op notes the date where the schedule did not.
    date = run.tags.get(NIGHTLY_DATE, "an unknown date")
    return _alert(config, ending.kind, date, ending.verb, text, f"runs/{run.run_id}") if text else None


def _alert(config: AlertConfig, kind: AlertKind, date: str, verb: str, text: str, page: str) -> Alert:
    link = f"{config.ui.rstrip('/')}/{page}" if config.ui else ""
    return Alert(kind, date, f"rectok: the night of {date} {verb}", text, link)


def _missed(params: NightlyParams, root: Path, job: str, clock: Clock) -> SensorDefinition:
    @sensor(
        name="nightly_missed",
        description="Tells people that a night has no figures although it should be over",
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=5 * SECONDS,
    )
    def look(context: SensorEvaluationContext) -> SensorResult:
        now = clock()
        due = last_due(params, now - timedelta(hours=params.late_hours))
        date = due.date().isoformat()
        # The first look only says from when on nights count: a project that is new has missed none.
        memory = remembered(context.cursor) or Memory(context.cursor or date)
        keys = [key for key, left in memory.owed.items() if left and datetime.fromisoformat(key) > now - PATIENCE]
        if date > memory.since and not _accounted(context, root, job, date):
            keys.append(due.isoformat())
        alerts = {key: partial(_absence, params, context, root, job, key) for key in keys}
        seen = Memory(max(date, memory.since), memory.owed)
        return told(params.alert, seen, context.cursor, alerts, f"the night of {date} is accounted for")

    return look


def _accounted(context: SensorEvaluationContext, root: Path, job: str, date: str) -> bool:
    """Whether a night has figures, or failed, which `nightly_failed` tells; a damaged history fails the next night."""
    with suppress(UserError):
        if any(night.date == date for night in read_history(root / HISTORY)):
            return True
    return _has_run(context, job, date, [DagsterRunStatus.FAILURE])


def _absence(params: NightlyParams, context: SensorEvaluationContext, root: Path, job: str, due: str) -> Alert | None:
    """Nothing where the night came after all before anybody could be told."""
    date = datetime.fromisoformat(due).date().isoformat()
    if _accounted(context, root, job, date):
        return None
    running = _has_run(context, job, date, list(IN_PROGRESS_RUN_STATUSES))
    state = "Its run has not ended yet." if running else "No run of it is going on."
    text = f"It was due at {due} and has no figures {params.late_hours:g} hours later. {state}"
    return _alert(params.alert, "missed", date, "did not come", text, "assets/nightly")


def _has_run(context: SensorEvaluationContext, job: str, date: str, statuses: list[DagsterRunStatus]) -> bool:
    which = RunsFilter(job_name=job, tags={NIGHTLY_DATE: date}, statuses=statuses)
    return any(_ours(context, run) for run in context.instance.get_runs(which, limit=MOST))
