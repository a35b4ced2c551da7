"""What Dagster's own daemon makes of the schedule and of the freshness policy, with the code location in its own process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetKey, AssetMaterialization
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time, instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.freshness import FreshnessDaemon
from dagster._scheduler.scheduler import launch_scheduled_runs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LOCATION = """
from pathlib import Path
from dagster import Definitions
from orchestration.launcher import Launcher
from orchestration.nightly.definitions import nightly
from rectok.params import parse, preset_text

here = Path(__file__).parent
params = parse(preset_text("digits"), "digits").nightly.model_copy(update={changes!r})
defs = Definitions.merge(nightly(params, here, []), Definitions(resources=dict(launcher=Launcher(root=str(here)))))
"""
QUEUE = {"run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    with served(tmp_path_factory.mktemp("location")) as workspace:
        yield workspace


@contextmanager
def served(folder: Path, **changes: str) -> Iterator[WorkspaceProcessContext]:
    """A code location whose parameters of the nightly evaluation have these changes, and an instance of its own."""
    (folder / "location.py").write_text(LOCATION.format(changes=changes))
    target = PythonFileTarget(str(folder / "location.py"), None, str(folder), "here")
    with (
        instance_for_test(overrides={**QUEUE, "freshness": {"enabled": True}}) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield workspace


def scheduled(workspace: WorkspaceProcessContext, now: datetime) -> list[str]:
    """Let the scheduler look once at the time `now`; the dates of all nights asked for so far."""
    with freeze_time(now):
        list(launch_scheduled_runs(workspace, logging.getLogger("scheduler"), now, iteration_times={}))
    return sorted(run.tags["rectok/night"] for run in workspace.instance.get_runs())


def test_after_a_week_without_the_daemon_one_night_is_caught_up(workspace: WorkspaceProcessContext) -> None:
    assert scheduled(workspace, datetime(2026, 1, 23, 12, tzinfo=UTC)) == []
    assert scheduled(workspace, datetime(2026, 1, 24, 3, 1, tzinfo=UTC)) == ["2026-01-24"]
    assert scheduled(workspace, datetime(2026, 1, 31, 12, tzinfo=UTC)) == ["2026-01-24", "2026-01-31"]
    assert scheduled(workspace, datetime(2026, 2, 1, 3, 1, tzinfo=UTC))[2:] == ["2026-02-01"]


@pytest.mark.parametrize(
    "timezone, looks",
    [
        # Three o'clock is at 02:00 UTC in winter and at 01:00 from the 29th of March on, in a night that has no two o'clock.
        ("Europe/Berlin", {(3, 28, 2): "2026-03-28", (3, 29, 1): "2026-03-29", (3, 30, 1): "2026-03-30"}),
        # In the night to the 25th of October two o'clock comes twice.
        ("Europe/Berlin", {(10, 24, 1): "2026-10-24", (10, 25, 2): "2026-10-25", (10, 26, 2): "2026-10-26"}),
        # There a night has the date of its own place, a day ahead of UTC.
        ("Pacific/Auckland", {(1, 23, 14): "2026-01-24", (1, 24, 14): "2026-01-25"}),
    ],
)
def test_nights_are_those_of_the_time_zone(
    tmp_path: Path, timezone: str, looks: dict[tuple[int, int, int], str]
) -> None:
    with served(tmp_path, timezone=timezone) as workspace:
        first = datetime(2026, *next(iter(looks)), tzinfo=UTC)
        assert scheduled(workspace, first - timedelta(minutes=30)) == []
        asked: list[str] = []
        for (month, day, hour), date in looks.items():
            due = datetime(2026, month, day, hour, tzinfo=UTC)
            assert scheduled(workspace, due - timedelta(minutes=1)) == asked
            asked.append(date)
            assert scheduled(workspace, due + timedelta(minutes=1)) == asked


def fresh(workspace: WorkspaceProcessContext, now: datetime) -> FreshnessState:
    with freeze_time(now):
        list(FreshnessDaemon(1).run_iteration(workspace))
    record = workspace.instance.get_freshness_state_records([AssetKey("nightly")])[AssetKey("nightly")]
    return record.freshness_state


def test_the_asset_is_fresh_for_a_night_and_the_hours_that_it_may_be_late(workspace: WorkspaceProcessContext) -> None:
    with freeze_time(datetime(2026, 3, 1, 4, tzinfo=UTC)):
        workspace.instance.report_runless_asset_event(AssetMaterialization("nightly"))
    assert fresh(workspace, datetime(2026, 3, 2, 9, tzinfo=UTC)) is FreshnessState.PASS
    assert fresh(workspace, datetime(2026, 3, 2, 11, tzinfo=UTC)) is FreshnessState.FAIL
