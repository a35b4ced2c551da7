"""Alerts that arrive: real runs, the real sensors, a webhook and a mail server on loopback."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    ExecuteInProcessResult,
    JobDefinition,
    SensorDefinition,
    SensorResult,
    SkipReason,
    build_run_status_sensor_context,
    build_sensor_context,
)
from dagster._core.test_utils import create_run_for_test

from orchestration.watching import NIGHT, watchers
from rectok.alerts import sending
from rectok.errors import UserError
from rectok.evaluation.history import HISTORY, Night, write_history
from rectok.params import parse, preset_text
from rectok.params.editing import changed
from rectok.params.schema import NightlyParams
from tests.alerts.servers import Hook, Mailbox, mail_server, webhook
from tests.orchestration.test_schedules import EVALUATION, defined

FAILING = "import sys; sys.exit('rectok: data/dit/model.safetensors is missing; `dvc repro` makes it')"
FIGURES = (500, 8.0, 4.0, 0.97, 0.99)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield instance


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.0)
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        yield hook


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def params(hook: Hook, box: Mailbox) -> NightlyParams:
    mail: dict[str, Any] = {"host": "127.0.0.1", "port": box.port, "security": "none"}
    mail |= {"sender": "rectok@here.example", "to": ["a@there.example"]}
    alert = {f"nightly.alert.mail.{key}": value for key, value in mail.items()}
    changes = {"nightly.alert.webhook": "HOOK", "nightly.alert.ui": "http://here:3000/", "nightly.late_hours": 6.0}
    return changed(parse(preset_text("digits"), "digits"), {**alert, **changes}).nightly


def job(params: NightlyParams, root: Path, program: str) -> JobDefinition:
    return defined(root, params, program).resolve_job_def("nightly")


def watcher(params: NightlyParams, root: Path, name: str, now: datetime | None = None) -> SensorDefinition:
    clock = {"clock": lambda: now} if now else {}
    found = {each.name: each for each in watchers(params, root, job(params, root, EVALUATION), **clock)}
    return found[f"nightly_{name}"]


def ran(
    params: NightlyParams, root: Path, instance: DagsterInstance, program: str, date: str
) -> ExecuteInProcessResult:
    config = {"ops": {"evaluate_generator": {"config": {"date": date}}}}
    return job(params, root, program).execute_in_process(config, instance, raise_on_error=False)


def test_a_run_that_failed_is_told_with_its_sentence_by_both_ways(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    result = ran(params, tmp_path, instance, FAILING, "2026-01-31")
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    [event] = [event for event in result.all_events if event.event_type is DagsterEventType.RUN_FAILURE]
    context = build_run_status_sensor_context("nightly_failed", event, instance, run, partition_key=None)
    watcher(params, tmp_path, "failed")(context.for_run_failure())
    [record], [message] = hook.received, box.received
    assert (record["kind"], record["date"]) == ("failed", "2026-01-31")
    assert "data/dit/model.safetensors is missing" in record["text"]
    assert record["link"] == f"http://here:3000/runs/{result.run_id}"
    assert message["Subject"] == record["title"] == "rectok: the night of 2026-01-31 failed"


@pytest.mark.parametrize("date, told", [("2026-01-01", 0), ("2026-01-02", 1)])
def test_a_regression_is_told_and_a_good_night_is_not(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox, date: str, told: int
) -> None:
    result = ran(params, tmp_path, instance, EVALUATION, date)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None and result.success
    [event] = [event for event in result.all_events if event.event_type is DagsterEventType.RUN_SUCCESS]
    watcher(params, tmp_path, "worse")(build_run_status_sensor_context("nightly_worse", event, instance, run))
    assert len(hook.received) == len(box.received) == told
    assert all(record["kind"] == "regression" and "gfid is 9" in record["text"] for record in hook.received)


def looked(sensor: SensorDefinition, instance: DagsterInstance, cursor: str | None) -> SensorResult:
    result = sensor(build_sensor_context(instance, cursor=cursor))
    assert isinstance(result, SensorResult)
    return result


def test_a_night_that_does_not_come_is_told_once_when_it_is_late_enough(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    def at(hour: int, cursor: str | None, day: int = 31) -> str:
        now = datetime(2026, 1, day, hour, tzinfo=UTC)
        return str(looked(watcher(params, tmp_path, "missed", now), instance, cursor).cursor)

    # It is due at 3 and may be six hours late. A new project has missed nothing.
    assert at(8, None) == "2026-01-30"
    assert at(8, "2026-01-30") == "2026-01-30" and not hook.received
    assert at(10, "2026-01-30") == "2026-01-31"
    [record] = hook.received
    assert (record["kind"], record["date"]) == ("missed", "2026-01-31")
    assert "due at 2026-01-31T03:00:00+00:00" in record["text"] and "No run of it" in record["text"]
    assert len(box.received) == 1
    assert at(11, "2026-01-31") == "2026-01-31" and len(hook.received) == 1


def test_a_night_with_figures_or_with_a_failure_that_was_told_is_not_missed(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sensor = watcher(params, tmp_path, "missed", now)
    write_history([Night("2026-01-31", "aaaa", "p", *FIGURES)], tmp_path / HISTORY)
    assert looked(sensor, instance, "2026-01-30").cursor == "2026-01-31"
    (tmp_path / HISTORY).unlink()
    run = create_run_for_test(instance, job_name="nightly", tags={NIGHT: "2026-01-31"}, status=DagsterRunStatus.STARTED)
    instance.report_run_failed(run)
    assert looked(sensor, instance, "2026-01-30").cursor == "2026-01-31"
    assert not hook.received


def test_what_cannot_be_delivered_fails_the_tick_and_is_sent_at_the_next(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    sensor = watcher(params, tmp_path, "missed", datetime(2026, 1, 31, 12, tzinfo=UTC))
    hook.answers = [503, 503, 503]
    with pytest.raises(UserError, match="webhook: the server answered 503"):
        looked(sensor, instance, "2026-01-30")
    assert looked(sensor, instance, "2026-01-30").cursor == "2026-01-31"
    assert len(hook.received) == 1


def test_without_a_way_to_tell_the_sensor_says_what_it_would_have_told(
    tmp_path: Path, instance: DagsterInstance
) -> None:
    silent = parse(preset_text("digits"), "digits").nightly
    sensor = watcher(silent, tmp_path, "missed", datetime(2026, 1, 31, 12, tzinfo=UTC))
    reason = looked(sensor, instance, "2026-01-30").skip_reason
    assert isinstance(reason, SkipReason)
    assert (reason.skip_message or "").startswith("nightly.alert names no way to tell: It was due at 2026-01-31T03")
