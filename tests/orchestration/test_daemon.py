"""What Dagster's own daemon makes of the schedule and of the freshness policy, with the code location in its own process."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

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
from orchestration.schedules import nightly
from rectok.params import parse, preset_text

here = Path(__file__).parent
params = parse(preset_text("digits"), "digits").nightly
defs = Definitions.merge(nightly(params, here, []), Definitions(resources={"launcher": Launcher(root=str(here))}))
"""
QUEUE = {"run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    folder = tmp_path_factory.mktemp("location")
    (folder / "location.py").write_text(LOCATION)
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
