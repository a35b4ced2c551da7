"""Alerts under Dagster's own sensor daemon, with the code location in its own process."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from orchestration.nightly import delivery
from orchestration.nightly.alert_sensors import NIGHTLY_DATE
from orchestration.nightly.delivery import Pending, deliver_alerts, parse_cursor
from rectok.alerts.channels import Alert
from rectok.errors import UserError
from rectok.params import parse, preset_text
from tests.alerts.servers import Hook, Mailbox, mail_server, webhook
from tests.orchestration.daemon import (
    InstigatorTick,
    TickStatus,
    WorkspaceProcessContext,
    create_run_for_test,
    remote_job,
    served,
    tick_sensors,
)
from tests.orchestration.nightly.test_alert_sensors import FAILING, channel_params, ran
from tests.orchestration.nightly.test_definitions import EVALUATION
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LOCATION = """
from datetime import datetime
from pathlib import Path
from dagster import Definitions
from orchestration.nightly.alert_sensors import alert_sensors
from rectok.params import parse, preset_text
from rectok.params.editing import changed

here = Path(__file__).parent
params = changed(parse(preset_text("digits"), "digits"), {changes!r}).nightly
clock = lambda: datetime.fromisoformat((here / "now").read_text())
defs = Definitions(sensors=alert_sensors(params, here, "nightly", clock))
"""
NAMES = ("nightly_failed", "nightly_worse", "nightly_missed")
KINDS = {"failed", "regression", "missed"}


@dataclass
class Daemon:
    """A sensor daemon that ticks on demand, and the ports of the channels."""

    workspace: WorkspaceProcessContext
    folder: Path
    hook_port: int
    mail_port: int
    now: datetime

    @property
    def instance(self) -> DagsterInstance:
        return self.workspace.instance

    def ticks(self, **later: float) -> list[TickStatus]:
        """Tick once, after that much time. How the ticks of the three sensors ended."""
        self.now += timedelta(**later)
        (self.folder / "now").write_text(self.now.isoformat())
        tick_sensors(self.workspace, self.now)
        return [self.tick(name).status for name in NAMES]

    def tick(self, name: str) -> InstigatorTick:
        """A sensor's newest tick."""
        location = self.workspace.create_request_context().get_code_location("here")
        sensor = location.get_repository("__repository__").get_sensor(name)
        [tick] = self.instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id, limit=1)
        return tick

    def run(self, program: str, date: str) -> None:
        """Run the nightly job in this process."""
        ran(parse(preset_text("digits"), "digits").nightly, self.folder, self.instance, program, date)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """After its first tick, one nightly run failed, one found a regression and one is missed. None has sent its alert yet."""
    hook_port, mail_port = free_port(), free_port()
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{hook_port}/hooks/secret-token")
    with served(tmp_path, LOCATION.format(changes=channel_params(mail_port))) as workspace:
        noon = datetime.now(UTC).replace(hour=12, minute=0) - timedelta(days=1)  # far from the hour of a missed run
        daemon = Daemon(workspace, tmp_path, hook_port, mail_port, noon)
        assert daemon.ticks() == [TickStatus.SKIPPED] * 3
        daemon.run(FAILING, "2026-01-31")
        daemon.run(EVALUATION, "2026-01-02")
        daemon.now += timedelta(days=1)
        yield daemon


def arrived(hook: Hook, box: Mailbox | None = None) -> None:
    """Every alert has come exactly once."""
    assert len(hook.received) == 3 and {record["kind"] for record in hook.received} == KINDS
    if box is not None:
        assert sorted(message["Subject"] for message in box.received) == sorted(r["title"] for r in hook.received)


def test_an_undelivered_alert_arrives_once_through_each_channel_when_its_server_is_back(daemon: Daemon) -> None:
    # A tick that changes its cursor reports its failures in its message. A tick that only fails is red.
    assert daemon.ticks() == [TickStatus.SKIPPED] * 3
    for name in NAMES:
        message = daemon.tick(name).skip_reason or ""
        assert "not delivered by webhook: the server cannot be reached" in message and "delivered by e-mail" in message
    assert daemon.ticks(minutes=10) == [TickStatus.FAILURE] * 3
    error = daemon.tick("nightly_failed").error
    assert error and "not delivered by webhook: the server cannot be reached" in error.to_string()
    with ExitStack() as servers:
        hook = servers.enter_context(webhook(daemon.hook_port))
        assert daemon.ticks(minutes=10) == [TickStatus.SKIPPED] * 3
        assert daemon.ticks(minutes=10) == [TickStatus.FAILURE] * 3
        arrived(hook)
        box = servers.enter_context(mail_server(port=daemon.mail_port))
        assert daemon.ticks(minutes=10) == [TickStatus.SKIPPED] * 3
        arrived(hook, box)
        assert daemon.ticks(minutes=10) == [TickStatus.SKIPPED] * 3
        assert daemon.tick("nightly_failed").skip_reason == "there is nothing to report"
        arrived(hook, box)


def test_with_mail_broken_for_good_the_webhook_gets_each_alert_once_and_mail_is_given_up(daemon: Daemon) -> None:
    with webhook(daemon.hook_port) as hook:
        for _ in range(4):
            daemon.ticks(minutes=10)
        arrived(hook)
        assert daemon.ticks(minutes=10) == [TickStatus.FAILURE] * 3
        daemon.ticks(days=4)
        for name in NAMES[:2]:
            message = daemon.tick(name).skip_reason or ""
            assert message.startswith("gave up the alert for ") and message.endswith(" by e-mail")
        assert "gave up the alert for" in (daemon.tick("nightly_missed").skip_reason or "")
        assert [record["kind"] for record in hook.received[3:]] == ["missed"]  # days have gone by, after all


def test_a_run_of_another_code_location_sends_no_alert_here(daemon: Daemon) -> None:
    with webhook(daemon.hook_port) as hook:
        daemon.ticks()
        for place in ("elsewhere", "here"):
            run = create_run_for_test(
                daemon.instance,
                job_name="nightly",
                tags={NIGHTLY_DATE: place},
                remote_job_origin=remote_job(place, "nightly"),
                status=DagsterRunStatus.STARTED,
            )
            daemon.instance.report_run_failed(run)
        daemon.ticks(minutes=10)
    assert [record["date"] for record in hook.received[3:]] == ["here"]


def test_a_delivery_that_outlasts_a_tick_is_awaited_by_the_next_and_not_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts, may_end = [], threading.Event()

    def slow(*_: object) -> None:
        starts.append(1)
        may_end.wait(30)

    monkeypatch.setattr(delivery, "TIMEOUT", 0.05)
    monkeypatch.setattr(delivery, "deliver", slow)
    config = parse(preset_text("digits"), "digits").nightly.alert.model_copy(update={"webhook": "HOOK"})
    alerts = {"run": lambda: Alert("failed", "2026-01-31", "title", "text")}
    first = deliver_alerts(config, Pending("now"), None, alerts, "quiet")
    assert first.skip_reason and "no answer for 0.05 s; the next tick waits" in str(first.skip_reason)
    pending = parse_cursor(first.cursor)
    assert pending and pending.owed == {"run": ["webhook"]}
    with pytest.raises(UserError, match="no answer for"):
        deliver_alerts(config, pending, first.cursor, alerts, "quiet")
    may_end.set()
    time.sleep(0.1)
    last = parse_cursor(deliver_alerts(config, pending, first.cursor, alerts, "quiet").cursor)
    assert last and last.owed == {"run": []}
    assert len(starts) == 1
