"""Alerts of the real sensors about real runs, with a webhook and a mail server on loopback."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
    JobDefinition,
    SensorDefinition,
    SensorResult,
    asset,
    build_sensor_context,
)

from orchestration.nightly import delivery
from orchestration.nightly.alert_sensors import NIGHTLY_DATE, alert_sensors
from rectok.errors import UserError
from rectok.nightly.history import HISTORY, NightlyRun, write_history
from rectok.params import parse, preset_text
from rectok.params.editing import changed
from rectok.params.schema import NightlyParams
from tests.alerts.servers import Hook, Mailbox, mail_server, webhook
from tests.orchestration.daemon import create_run_for_test, freeze_time
from tests.orchestration.nightly.test_definitions import EVALUATION, defined

FAILING = "import sys; sys.exit('rectok: data/dit/model.safetensors is missing; `dvc repro` makes it')"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        yield hook


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def params(hook: Hook, box: Mailbox) -> NightlyParams:
    return changed(parse(preset_text("digits"), "digits"), channel_params(box.port)).nightly


def channel_params(mail_port: int) -> dict[str, Any]:
    """Parameters that send alerts to the webhook in HOOK, and to the mail server at this port."""
    mail: dict[str, Any] = {"host": "127.0.0.1", "port": mail_port, "security": "none"}
    mail |= {"sender": "rectok@here.example", "to": ["a@there.example"]}
    alert = {f"nightly.alert.mail.{key}": value for key, value in mail.items()}
    changes = {"nightly.alert.webhook": "HOOK", "nightly.alert.ui": "http://here:3000/", "nightly.late_hours": 6.0}
    return {**alert, **changes}


def job(params: NightlyParams, root: Path, program: str) -> JobDefinition:
    return defined(root, params, program).resolve_job_def("nightly")


def alert_sensor(params: NightlyParams, root: Path, name: str, now: datetime | None = None) -> SensorDefinition:
    clock = {"clock": lambda: now} if now else {}
    sensors = {each.name: each for each in alert_sensors(params, root, "nightly", **clock)}
    return sensors[f"nightly_{name}"]


def ran(
    params: NightlyParams, root: Path, instance: DagsterInstance, program: str, date: str
) -> ExecuteInProcessResult:
    return job(params, root, program).execute_in_process(instance=instance, partition_key=date, raise_on_error=False)


def ticked(sensor: SensorDefinition, instance: DagsterInstance, cursor: str | None = None) -> SensorResult:
    result = sensor(build_sensor_context(instance, cursor=cursor))
    assert isinstance(result, SensorResult)
    return result


def message_of(result: SensorResult) -> str:
    return getattr(result.skip_reason, "skip_message", None) or ""


def test_a_failed_run_sends_its_message_once_through_both_channels(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    sensor = alert_sensor(params, tmp_path, "failed")
    first = ticked(sensor, instance).cursor
    result = ran(params, tmp_path, instance, FAILING, "2026-01-31")
    second = ticked(sensor, instance, first)
    third = ticked(sensor, instance, second.cursor)
    [record], [message] = hook.received, box.received
    assert (record["kind"], record["date"]) == ("failed", "2026-01-31")
    assert "data/dit/model.safetensors is missing" in record["text"]
    assert record["link"] == f"http://here:3000/runs/{result.run_id}"
    assert message["Subject"] == record["title"] == "rectok: the nightly run of 2026-01-31 failed"
    assert "sent by webhook" in message_of(second) and "sent by e-mail" in message_of(second)
    assert (message_of(third), third.cursor) == ("there is nothing to report", second.cursor)


def test_a_failed_run_that_was_started_on_the_page_of_the_asset_sends_its_message(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    sensor = alert_sensor(params, tmp_path, "failed")
    cursor = ticked(sensor, instance).cursor
    assets = defined(tmp_path, params, FAILING).resolve_implicit_global_asset_job_def()
    result = assets.execute_in_process(
        instance=instance, partition_key="2026-01-31", asset_selection=[AssetKey("nightly")], raise_on_error=False
    )
    assert not result.success
    ticked(sensor, instance, cursor)
    [record], [_] = hook.received, box.received
    assert (record["kind"], record["date"]) == ("failed", "2026-01-31")
    assert "data/dit/model.safetensors is missing" in record["text"]


def test_a_run_of_many_assets_sends_no_alert_where_another_one_fails(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    @asset(deps=["nightly"])
    def page() -> None:
        raise ValueError("no page")

    sensor = alert_sensor(params, tmp_path, "failed")
    cursor = ticked(sensor, instance).cursor
    parts = Definitions.merge(defined(tmp_path, params, EVALUATION), Definitions(assets=[page]))
    everything = parts.resolve_implicit_global_asset_job_def()
    assert not everything.execute_in_process(
        instance=instance, partition_key="2026-01-31", raise_on_error=False
    ).success
    assert message_of(ticked(sensor, instance, cursor)) == "there is nothing to report" and not hook.received


@pytest.mark.parametrize("date, alerts", [("2026-01-01", 0), ("2026-01-02", 1)])
def test_a_regression_sends_one_alert_and_a_good_run_sends_none(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox, date: str, alerts: int
) -> None:
    sensor = alert_sensor(params, tmp_path, "worse")
    cursor = ticked(sensor, instance).cursor
    assert ran(params, tmp_path, instance, EVALUATION, date).success
    for _ in range(2):
        cursor = ticked(sensor, instance, cursor).cursor
    assert len(hook.received) == len(box.received) == alerts
    assert all(record["kind"] == "regression" and "gfid is 9" in record["text"] for record in hook.received)


@pytest.mark.parametrize("cursor", [None, '{"__class__": "RunStatusSensorCursor", "record_id": 7}'])
def test_runs_before_the_first_tick_send_no_alert(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, cursor: str | None
) -> None:
    sensor = alert_sensor(params, tmp_path, "failed")
    ran(params, tmp_path, instance, FAILING, "2026-01-31")
    ticked(sensor, instance, ticked(sensor, instance, cursor).cursor)
    assert not hook.received


def test_old_runs_leave_the_cursor_and_a_new_tag_does_not_bring_them_back(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    cursor = ticked(alert_sensor(params, tmp_path, "failed"), instance).cursor
    run = ran(params, tmp_path, instance, FAILING, "2026-01-31").run_id
    cursor = ticked(alert_sensor(params, tmp_path, "failed"), instance, cursor).cursor
    assert cursor and json.loads(cursor)["owed"] == {run: []}
    later = datetime.now(UTC) + delivery.GIVE_UP_AFTER + timedelta(minutes=1)
    with freeze_time(later):
        instance.add_run_tags(run, {"looked_at": "yes"})
    cursor = ticked(alert_sensor(params, tmp_path, "failed", later), instance, cursor).cursor
    assert cursor and json.loads(cursor)["owed"] == {}
    assert len(hook.received) == 1


def test_a_channel_without_an_answer_ends_with_the_tick_and_the_other_is_not_repeated(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects and sends nothing
        mail = params.alert.mail.model_copy(update={"port": silent.getsockname()[1]})
        hanging = params.model_copy(update={"alert": params.alert.model_copy(update={"mail": mail})})
        sensor = alert_sensor(hanging, tmp_path, "failed")
        cursor = ticked(sensor, instance).cursor
        ran(params, tmp_path, instance, FAILING, "2026-01-31")
        result = ticked(sensor, instance, cursor)
        assert "not delivered by e-mail: no answer for 0.3 s" in message_of(result)
        with pytest.raises(UserError, match=r"not delivered by e-mail: no answer for 0\.3 s"):
            ticked(sensor, instance, result.cursor)
    assert len(hook.received) == 1


def test_a_slow_channel_leaves_later_alerts_to_the_next_tick(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "CHANNEL_BUDGET", 0.0)
    sensor = alert_sensor(params, tmp_path, "failed")
    cursor = ticked(sensor, instance).cursor
    for date in ("2026-01-30", "2026-01-31"):
        ran(params, tmp_path, instance, FAILING, date)
    for count, waits in ((1, True), (2, False)):
        result = ticked(sensor, instance, cursor)
        cursor = result.cursor
        assert (len(hook.received), "31 failed” waits for the next tick" in message_of(result)) == (count, waits)
    assert [record["date"] for record in hook.received] == ["2026-01-30", "2026-01-31"]


def test_a_missed_run_sends_one_alert_when_it_is_late_enough(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    def at(hour: int, cursor: str | None) -> str | None:
        now = datetime(2026, 1, 31, hour, tzinfo=UTC)
        return ticked(alert_sensor(params, tmp_path, "missed", now), instance, cursor).cursor

    # The run is due at 3 and may be six hours late. A new project has missed none.
    early = at(8, None)
    assert at(8, early) == early and not hook.received
    late = at(10, early)
    [record] = hook.received
    assert (record["kind"], record["date"]) == ("missed", "2026-01-31")
    assert "due at 2026-01-31T03:00:00+00:00" in record["text"] and "It has no run" in record["text"]
    assert len(box.received) == 1
    assert at(12, at(11, late)) and len(hook.received) == 1
    assert at(10, "2026-01-30") and len(hook.received) == 2  # a cursor of an older version


def test_a_run_with_metrics_or_with_a_failure_is_not_missed(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sensor = alert_sensor(params, tmp_path, "missed", now)
    write_history([NightlyRun("2026-01-31", "aaaa", "p", 500, {}, {})], tmp_path / HISTORY)
    assert message_of(ticked(sensor, instance, "2026-01-30")) == "the nightly run of 2026-01-31 is accounted for"
    (tmp_path / HISTORY).unlink()
    run = create_run_for_test(
        instance, job_name="nightly", tags={NIGHTLY_DATE: "2026-01-31"}, status=DagsterRunStatus.STARTED
    )
    instance.report_run_failed(run)
    assert message_of(ticked(sensor, instance, "2026-01-30")) == "the nightly run of 2026-01-31 is accounted for"
    assert not hook.received


def test_without_a_channel_the_tick_says_once_what_it_would_have_sent(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    silent = parse(preset_text("digits"), "digits").nightly
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    result = ticked(alert_sensor(silent, tmp_path, "missed", now), instance, "2026-01-30")
    assert message_of(result).startswith("nightly.alert names no channel: It was due at 2026-01-31T03")
    ticked(alert_sensor(params, tmp_path, "missed", now), instance, result.cursor)
    assert not hook.received  # a new channel gets only later alerts
