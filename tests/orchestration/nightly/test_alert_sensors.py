"""What the sensors tell: real runs, the real sensors, a webhook and a mail server on loopback."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    ExecuteInProcessResult,
    JobDefinition,
    SensorDefinition,
    SensorResult,
    build_sensor_context,
)
from dagster._core.test_utils import create_run_for_test, freeze_time

from orchestration.nightly import delivery as telling
from orchestration.nightly.alert_sensors import NIGHTLY_DATE, watchers
from rectok.errors import UserError
from rectok.nightly.history import HISTORY, NightlyRun, write_history
from rectok.params import parse, preset_text
from rectok.params.editing import changed
from rectok.params.schema import NightlyParams
from tests.alerts.servers import Hook, Mailbox, mail_server, webhook
from tests.orchestration.nightly.test_definitions import EVALUATION, defined

FAILING = "import sys; sys.exit('rectok: data/dit/model.safetensors is missing; `dvc repro` makes it')"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield instance


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
    return changed(parse(preset_text("digits"), "digits"), ways(box.port)).nightly


def ways(mail_port: int) -> dict[str, Any]:
    """Parameters that send alerts to the webhook in HOOK, and to the mail server at this port."""
    mail: dict[str, Any] = {"host": "127.0.0.1", "port": mail_port, "security": "none"}
    mail |= {"sender": "rectok@here.example", "to": ["a@there.example"]}
    alert = {f"nightly.alert.mail.{key}": value for key, value in mail.items()}
    changes = {"nightly.alert.webhook": "HOOK", "nightly.alert.ui": "http://here:3000/", "nightly.late_hours": 6.0}
    return {**alert, **changes}


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


def looked(sensor: SensorDefinition, instance: DagsterInstance, cursor: str | None = None) -> SensorResult:
    result = sensor(build_sensor_context(instance, cursor=cursor))
    assert isinstance(result, SensorResult)
    return result


def said(result: SensorResult) -> str:
    return getattr(result.skip_reason, "skip_message", None) or ""


def test_a_run_that_failed_is_told_once_with_its_sentence_by_both_ways(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    sensor = watcher(params, tmp_path, "failed")
    first = looked(sensor, instance).cursor
    result = ran(params, tmp_path, instance, FAILING, "2026-01-31")
    second = looked(sensor, instance, first)
    third = looked(sensor, instance, second.cursor)
    [record], [message] = hook.received, box.received
    assert (record["kind"], record["date"]) == ("failed", "2026-01-31")
    assert "data/dit/model.safetensors is missing" in record["text"]
    assert record["link"] == f"http://here:3000/runs/{result.run_id}"
    assert message["Subject"] == record["title"] == "rectok: the night of 2026-01-31 failed"
    assert "sent by webhook" in said(second) and "sent by e-mail" in said(second)
    assert (said(third), third.cursor) == ("there is nothing to tell", second.cursor)


@pytest.mark.parametrize("date, told", [("2026-01-01", 0), ("2026-01-02", 1)])
def test_a_regression_is_told_once_and_a_good_night_is_not(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox, date: str, told: int
) -> None:
    sensor = watcher(params, tmp_path, "worse")
    cursor = looked(sensor, instance).cursor
    assert ran(params, tmp_path, instance, EVALUATION, date).success
    for _ in range(2):
        cursor = looked(sensor, instance, cursor).cursor
    assert len(hook.received) == len(box.received) == told
    assert all(record["kind"] == "regression" and "gfid is 9" in record["text"] for record in hook.received)


@pytest.mark.parametrize("cursor", [None, '{"__class__": "RunStatusSensorCursor", "record_id": 7}'])
def test_what_was_before_the_first_look_is_not_told(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, cursor: str | None
) -> None:
    sensor = watcher(params, tmp_path, "failed")
    ran(params, tmp_path, instance, FAILING, "2026-01-31")
    looked(sensor, instance, looked(sensor, instance, cursor).cursor)
    assert not hook.received


def test_runs_are_forgotten_after_a_while_and_a_new_tag_does_not_bring_them_back(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    cursor = looked(watcher(params, tmp_path, "failed"), instance).cursor
    run = ran(params, tmp_path, instance, FAILING, "2026-01-31").run_id
    cursor = looked(watcher(params, tmp_path, "failed"), instance, cursor).cursor
    assert cursor and json.loads(cursor)["owed"] == {run: []}
    later = datetime.now(UTC) + telling.PATIENCE + timedelta(minutes=1)
    with freeze_time(later):
        instance.add_run_tags(run, {"looked_at": "yes"})
    cursor = looked(watcher(params, tmp_path, "failed", later), instance, cursor).cursor
    assert cursor and json.loads(cursor)["owed"] == {}
    assert len(hook.received) == 1


def test_a_way_without_an_answer_ends_with_the_tick_and_the_other_is_not_repeated(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "LONGEST", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and says nothing
        mail = params.alert.mail.model_copy(update={"port": silent.getsockname()[1]})
        hanging = params.model_copy(update={"alert": params.alert.model_copy(update={"mail": mail})})
        sensor = watcher(hanging, tmp_path, "failed")
        cursor = looked(sensor, instance).cursor
        ran(params, tmp_path, instance, FAILING, "2026-01-31")
        result = looked(sensor, instance, cursor)
        assert "not delivered by e-mail: no answer for 0.3 s" in said(result)
        with pytest.raises(UserError, match=r"not delivered by e-mail: no answer for 0\.3 s"):
            looked(sensor, instance, result.cursor)
    assert len(hook.received) == 1


def test_a_slow_way_leaves_what_is_left_to_the_next_tick(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "ENOUGH", 0.0)
    sensor = watcher(params, tmp_path, "failed")
    cursor = looked(sensor, instance).cursor
    for date in ("2026-01-30", "2026-01-31"):
        ran(params, tmp_path, instance, FAILING, date)
    for count, waits in ((1, True), (2, False)):
        result = looked(sensor, instance, cursor)
        cursor = result.cursor
        assert (len(hook.received), "31 failed” waits for the next tick" in said(result)) == (count, waits)
    assert [record["date"] for record in hook.received] == ["2026-01-30", "2026-01-31"]


def test_a_night_that_does_not_come_is_told_once_when_it_is_late_enough(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook, box: Mailbox
) -> None:
    def at(hour: int, cursor: str | None) -> str | None:
        now = datetime(2026, 1, 31, hour, tzinfo=UTC)
        return looked(watcher(params, tmp_path, "missed", now), instance, cursor).cursor

    # It is due at 3 and may be six hours late. A new project has missed nothing.
    early = at(8, None)
    assert at(8, early) == early and not hook.received
    late = at(10, early)
    [record] = hook.received
    assert (record["kind"], record["date"]) == ("missed", "2026-01-31")
    assert "due at 2026-01-31T03:00:00+00:00" in record["text"] and "No run of it" in record["text"]
    assert len(box.received) == 1
    assert at(12, at(11, late)) and len(hook.received) == 1
    assert at(10, "2026-01-30") and len(hook.received) == 2  # a cursor of an older version


def test_a_night_with_figures_or_with_a_failure_that_was_told_is_not_missed(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sensor = watcher(params, tmp_path, "missed", now)
    write_history([NightlyRun("2026-01-31", "aaaa", "p", 500, {}, {})], tmp_path / HISTORY)
    assert said(looked(sensor, instance, "2026-01-30")) == "the night of 2026-01-31 is accounted for"
    (tmp_path / HISTORY).unlink()
    run = create_run_for_test(
        instance, job_name="nightly", tags={NIGHTLY_DATE: "2026-01-31"}, status=DagsterRunStatus.STARTED
    )
    instance.report_run_failed(run)
    assert said(looked(sensor, instance, "2026-01-30")) == "the night of 2026-01-31 is accounted for"
    assert not hook.received


def test_without_a_way_to_tell_the_sensor_says_once_what_it_would_have_told(
    tmp_path: Path, params: NightlyParams, instance: DagsterInstance, hook: Hook
) -> None:
    silent = parse(preset_text("digits"), "digits").nightly
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    result = looked(watcher(silent, tmp_path, "missed", now), instance, "2026-01-30")
    assert said(result).startswith("nightly.alert names no way to tell: It was due at 2026-01-31T03")
    looked(watcher(params, tmp_path, "missed", now), instance, result.cursor)
    assert not hook.received  # a way that was named later takes what comes later
