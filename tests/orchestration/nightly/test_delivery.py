"""Alerts that arrive: ticks of Dagster's own sensor daemon, with the code location in its own process."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import (
    create_run_for_test,
    create_test_daemon_workspace_context,
    freeze_time,
    instance_for_test,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.sensor import execute_sensor_iteration

from orchestration.nightly import delivery as telling
from orchestration.nightly.alert_sensors import NIGHTLY_DATE
from orchestration.nightly.delivery import Memory, remembered, told
from rectok.alerts.sending import Alert
from rectok.errors import UserError
from rectok.params import parse, preset_text
from tests.alerts.servers import Hook, Mailbox, free_port, mail_server, webhook
from tests.orchestration.nightly.test_alert_sensors import FAILING, ran, ways
from tests.orchestration.nightly.test_definitions import EVALUATION

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LOCATION = """
from datetime import datetime
from pathlib import Path
from dagster import Definitions
from orchestration.nightly.definitions import nightly
from orchestration.nightly.alert_sensors import watchers
from rectok.params import parse, preset_text
from rectok.params.editing import changed

here = Path(__file__).parent
params = changed(parse(preset_text("digits"), "digits"), {changes!r}).nightly
job = nightly(params, here, []).jobs[0]
clock = lambda: datetime.fromisoformat((here / "now").read_text())
defs = Definitions(sensors=watchers(params, here, job, clock))
"""
NAMES = ("nightly_failed", "nightly_worse", "nightly_missed")
KINDS = {"failed", "regression", "missed"}


@dataclass
class Daemon:
    """A sensor daemon, which looks when it is told to, and the ports to which alerts go."""

    workspace: WorkspaceProcessContext
    folder: Path
    hook_port: int
    mail_port: int
    now: datetime

    @property
    def instance(self) -> DagsterInstance:
        return self.workspace.instance

    def look(self, **later: float) -> list[TickStatus]:
        """Look once, after so much time; how the three ticks ended."""
        self.now += timedelta(**later)
        (self.folder / "now").write_text(self.now.isoformat())
        with freeze_time(self.now):
            list(execute_sensor_iteration(self.workspace, logging.getLogger("sensors"), None, None))
        return [self.tick(name).status for name in NAMES]

    def tick(self, name: str) -> InstigatorTick:
        """The newest of a sensor."""
        location = self.workspace.create_request_context().get_code_location("here")
        sensor = location.get_repository("__repository__").get_sensor(name)
        [tick] = self.instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id, limit=1)
        return tick

    def run(self, program: str, date: str) -> None:
        """A night, in this process."""
        ran(parse(preset_text("digits"), "digits").nightly, self.folder, self.instance, program, date)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """It has looked once, and a day later nothing of these nights is told yet: one failed, one was worse, one is missed."""
    hook_port, mail_port = free_port(), free_port()
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{hook_port}/hooks/secret-token")
    (tmp_path / "location.py").write_text(LOCATION.format(changes=ways(mail_port)))
    target = PythonFileTarget(str(tmp_path / "location.py"), None, str(tmp_path), "here")
    with instance_for_test() as instance, create_test_daemon_workspace_context(target, instance) as workspace:
        noon = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=1)  # far from the hour of a missed night
        daemon = Daemon(workspace, tmp_path, hook_port, mail_port, noon)
        assert daemon.look() == [TickStatus.SKIPPED] * 3
        daemon.run(FAILING, "2026-01-31")
        daemon.run(EVALUATION, "2026-01-02")
        daemon.now += timedelta(days=1)
        yield daemon


def arrived(hook: Hook, box: Mailbox | None = None) -> None:
    """Every alert has come exactly once."""
    assert len(hook.received) == 3 and {record["kind"] for record in hook.received} == KINDS
    if box is not None:
        assert sorted(message["Subject"] for message in box.received) == sorted(r["title"] for r in hook.received)


def test_what_could_not_be_delivered_arrives_once_by_each_way_when_its_server_is_back(daemon: Daemon) -> None:
    # The ticks that note what is owed say so; those that only fail are red.
    assert daemon.look() == [TickStatus.SKIPPED] * 3
    for name in NAMES:
        said = daemon.tick(name).skip_reason or ""
        assert "not delivered by webhook: the server cannot be reached" in said and "delivered by e-mail" in said
    assert daemon.look(minutes=10) == [TickStatus.FAILURE] * 3
    error = daemon.tick("nightly_failed").error
    assert error and "not delivered by webhook: the server cannot be reached" in error.to_string()
    with ExitStack() as servers:
        hook = servers.enter_context(webhook(daemon.hook_port))
        assert daemon.look(minutes=10) == [TickStatus.SKIPPED] * 3
        assert daemon.look(minutes=10) == [TickStatus.FAILURE] * 3
        arrived(hook)
        box = servers.enter_context(mail_server(port=daemon.mail_port))
        assert daemon.look(minutes=10) == [TickStatus.SKIPPED] * 3
        arrived(hook, box)
        assert daemon.look(minutes=10) == [TickStatus.SKIPPED] * 3
        assert daemon.tick("nightly_failed").skip_reason == "there is nothing to tell"
        arrived(hook, box)


def test_with_mail_broken_for_good_the_webhook_gets_each_alert_once_and_mail_is_given_up(daemon: Daemon) -> None:
    with webhook(daemon.hook_port) as hook:
        for _ in range(4):
            daemon.look(minutes=10)
        arrived(hook)
        assert daemon.look(minutes=10) == [TickStatus.FAILURE] * 3
        daemon.look(days=4)
        for name in NAMES[:2]:
            said = daemon.tick(name).skip_reason or ""
            assert said.startswith("gave up telling of ") and said.endswith(" by e-mail")
        assert "gave up telling of" in (daemon.tick("nightly_missed").skip_reason or "")
        assert [record["kind"] for record in hook.received[3:]] == ["missed"]  # days have gone by, after all


def test_runs_of_another_code_location_are_told_by_its_own_sensor(daemon: Daemon) -> None:
    with webhook(daemon.hook_port) as hook:
        daemon.look()
        for place in ("elsewhere", "here"):
            origin = RemoteJobOrigin(
                RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(place), "__repository__"), "nightly"
            )
            run = create_run_for_test(
                daemon.instance,
                job_name="nightly",
                tags={NIGHTLY_DATE: place},
                remote_job_origin=origin,
                status=DagsterRunStatus.STARTED,
            )
            daemon.instance.report_run_failed(run)
        daemon.look(minutes=10)
    assert [record["date"] for record in hook.received[3:]] == ["here"]


def test_a_delivery_that_outlasts_a_tick_is_asked_by_the_next_and_not_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, may_end = [], threading.Event()

    def slow(*_: object) -> None:
        begun.append(1)
        may_end.wait(30)

    monkeypatch.setattr(telling, "LONGEST", 0.05)
    monkeypatch.setattr(telling, "deliver", slow)
    config = parse(preset_text("digits"), "digits").nightly.alert.model_copy(update={"webhook": "HOOK"})
    alerts = {"run": lambda: Alert("failed", "2026-01-31", "title", "text")}
    first = told(config, Memory("now"), None, alerts, "quiet")
    assert first.skip_reason and "no answer for 0.05 s; the next look asks" in str(first.skip_reason)
    memory = remembered(first.cursor)
    assert memory and memory.owed == {"run": ["webhook"]}
    with pytest.raises(UserError, match="no answer for"):
        told(config, memory, first.cursor, alerts, "quiet")
    may_end.set()
    time.sleep(0.1)
    last = remembered(told(config, memory, first.cursor, alerts, "quiet").cursor)
    assert last and last.owed == {"run": []}
    assert len(begun) == 1
