"""Sensors that send an alert when a nightly run fails, does not start, or finds a regression."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from orchestration.nightly.delivery import GIVE_UP_AFTER, Pending, deliver_alerts, parse_cursor
from orchestration.private import reverse_cron_string_iterator
from orchestration.sync.events import IN_PROGRESS
from rectok.alerts.alert_config import AlertConfig
from rectok.alerts.channels import Alert, AlertKind
from rectok.errors import UserError
from rectok.nightly.history import HISTORY, read_history
from rectok.params.schema import NightlyParams

NAME, OPERATION = "nightly", "evaluate_generator"
"""The asset of the nightly run, and the operation that makes it."""
NIGHTLY_DATE = "rectok/nightly_date"
"""Tag of a nightly run: its date."""
SECONDS = 60
MAX_RUNS = 50
"""Newest runs that a sensor considers and remembers."""
Clock = Callable[[], datetime]
VERBS = {"failed": "failed", "regression": "found a regression", "missed": "is missing"}


def alert_sensors(
    params: NightlyParams, root: Path, job: str, clock: Clock = lambda: datetime.now(UTC)
) -> list[dg.SensorDefinition]:
    """The three sensors of the runs of `job`. If the parameters name no channel, their ticks only say what they would have sent.

    Dagster's own run status sensors go on to the next run when an alert cannot be delivered, so they would lose it.
    """
    status = dg.DagsterRunStatus
    return [
        _run_sensor("nightly_failed", "failed", status.FAILURE, _failure_text, params.alert, job, clock),
        _run_sensor("nightly_worse", "regression", status.SUCCESS, _regression_text, params.alert, job, clock),
        _missed_sensor(params, root, clock),
    ]


def _failure_text(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The error messages of the commands, and Dagster's own messages."""
    if run.job_name != NAME and any(
        event.step_key == OPERATION for event in _events(instance, run, dg.DagsterEventType.STEP_SUCCESS)
    ):
        return ""  # a run of many assets, of which another one failed
    steps = list(_events(instance, run, dg.DagsterEventType.STEP_FAILURE))
    errors = [event.step_failure_data.error for event in steps]
    causes = [str(error.message).strip() for error in errors if error]
    messages = [event.message for event in steps or _events(instance, run, dg.DagsterEventType.RUN_FAILURE)]
    return "\n".join(part for part in (*causes, *messages) if part) or "Dagster does not say why."


def _regression_text(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    events = _events(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [event.event_specific_data for event in events]
    failed = [each for each in evaluations if isinstance(each, dg.AssetCheckEvaluation) and not each.passed]
    ours = [check for check in failed if check.asset_key == dg.AssetKey(NAME)]
    return "\n".join(check.description or check.check_name for check in ours)


def _events(
    instance: dg.DagsterInstance, run: dg.DagsterRun, event_type: dg.DagsterEventType
) -> Iterator[dg.DagsterEvent]:
    for record in instance.get_records_for_run(run.run_id, of_type=event_type).records:
        if record.event_log_entry.dagster_event:
            yield record.event_log_entry.dagster_event


def _run_sensor(
    name: str,
    kind: AlertKind,
    status: dg.DagsterRunStatus,
    text_of: Callable[[dg.DagsterInstance, dg.DagsterRun], str],
    config: AlertConfig,
    job: str,
    clock: Clock,
) -> dg.SensorDefinition:
    """A sensor for runs that ended with `status`. `text_of` returns an empty string for a run that needs no alert."""

    def about(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Alert | None:
        text = text_of(instance, run)
        # The op sets the tag if the schedule did not. A run that failed before its op has none.
        date = run.tags.get(NIGHTLY_DATE, "an unknown date")
        return _alert(config, kind, date, text, f"runs/{run.run_id}") if text else None

    @dg.sensor(
        name=name,
        description=f"Sends an alert when a nightly run {VERBS[kind]}",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def send(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = clock()
        # Runs that ended before the first tick get no alert.
        pending = parse_cursor(context.cursor) or Pending(now.isoformat())
        after = max(now - GIVE_UP_AFTER, datetime.fromisoformat(pending.since))
        runs = _ended_runs(context, job, status, after)
        alerts = {run.run_id: partial(about, context.instance, run) for run in runs}
        return deliver_alerts(config, pending, context.cursor, alerts, "there is nothing to report")

    return send


def _ended_runs(
    context: dg.SensorEvaluationContext, job: str, status: dg.DagsterRunStatus, after: datetime
) -> Sequence[dg.DagsterRun]:
    """This code location's nightly runs that ended after `after`, oldest first. A run whose tags change later is not new.

    One that somebody started on the page of the asset has the tag of its date, and no job of ours.
    """
    records = context.instance.get_run_records(dg.RunsFilter(statuses=[status], updated_after=after))
    ends = [(record.end_time or record.update_timestamp.timestamp(), record.dagster_run) for record in records]
    nightly = [(end, run) for end, run in ends if run.job_name == job or NIGHTLY_DATE in run.tags]
    runs = [run for end, run in nightly if end > after.timestamp()]  # Dagster's older tables have no end time
    return [run for run in runs if _is_local(context, run)][:MAX_RUNS][::-1]


def _is_local(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> bool:
    """Another project on the same Dagster has a job of this name, too, and sends its own alerts."""
    here, there = context.code_location_origin, run.remote_job_origin
    return not (here and there) or here.location_name == there.repository_origin.code_location_origin.location_name


def _alert(config: AlertConfig, kind: AlertKind, date: str, text: str, page: str) -> Alert:
    link = f"{config.ui.rstrip('/')}/{page}" if config.ui else ""
    return Alert(kind, date, f"rectok: the nightly run of {date} {VERBS[kind]}", text, link)


def _missed_sensor(params: NightlyParams, root: Path, clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        name="nightly_missed",
        description="Sends an alert when a nightly run has no metrics although it should have ended",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=5 * SECONDS,
    )
    def send(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = clock()
        latest = (now - timedelta(hours=params.late_hours)).timestamp()
        due = next(reverse_cron_string_iterator(latest, params.cron, params.timezone))
        date = due.date().isoformat()
        # Only nightly runs after the first tick count. A new project has missed none.
        pending = parse_cursor(context.cursor) or Pending(context.cursor or date)
        owed = [key for key, names in pending.owed.items() if names]
        keys = [key for key in owed if datetime.fromisoformat(key) > now - GIVE_UP_AFTER]
        if date > pending.since and not _accounted_for(context, root, date):
            keys.append(due.isoformat())
        alerts = {key: partial(_about_missed_run, params, context, root, key) for key in keys}
        pending = Pending(max(date, pending.since), pending.owed)
        nothing = f"the nightly run of {date} is accounted for"
        return deliver_alerts(params.alert, pending, context.cursor, alerts, nothing)

    return send


def _accounted_for(context: dg.SensorEvaluationContext, root: Path, date: str) -> bool:
    """Whether a nightly run has metrics (a damaged history has none), or failed, which `nightly_failed` reports."""
    with suppress(UserError):
        if any(run.date == date for run in read_history(root / HISTORY)):
            return True
    return _has_run(context, date, [dg.DagsterRunStatus.FAILURE])


def _about_missed_run(params: NightlyParams, context: dg.SensorEvaluationContext, root: Path, due: str) -> Alert | None:
    """None if the nightly run ended after all before the alert was delivered."""
    date = datetime.fromisoformat(due).date().isoformat()
    if _accounted_for(context, root, date):
        return None
    running = _has_run(context, date, IN_PROGRESS)
    state = "Its run has not ended yet." if running else "It has no run."
    text = f"It was due at {due} and has no metrics {params.late_hours:g} hours later. {state}"
    return _alert(params.alert, "missed", date, text, "assets/nightly")


def _has_run(context: dg.SensorEvaluationContext, date: str, statuses: list[dg.DagsterRunStatus]) -> bool:
    runs = dg.RunsFilter(tags={NIGHTLY_DATE: date}, statuses=statuses)
    return any(_is_local(context, run) for run in context.instance.get_runs(runs, limit=MAX_RUNS))
