"""The schedule and the freshness policy under Dagster's own daemons, with the code location in its own process."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetKey, AssetMaterialization

from orchestration.nightly.alert_sensors import NIGHTLY_DATE
from tests.orchestration.daemon import (
    FreshnessState,
    WorkspaceProcessContext,
    check_freshness,
    freeze_time,
    served,
    tick_schedules,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LOCATION = """
from pathlib import Path
from dagster import Definitions
from orchestration.launcher import Launcher
from orchestration.nightly.definitions import nightly
from rectok.params import parse, preset_text

here = Path(__file__).parent
params = parse(preset_text("digits"), "digits").nightly.model_copy(update={changes!r})
launcher = dict(launcher=Launcher(root=str(here)))
defs = Definitions.merge(nightly(params, here, {{}}, first="2026-01-01"), Definitions(resources=launcher))
"""
OVERRIDES = {
    "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"},
    "freshness": {"enabled": True},
}


def located(folder: Path, **changes: str) -> AbstractContextManager[WorkspaceProcessContext]:
    """A code location whose nightly parameters have these changes."""
    return served(folder, LOCATION.format(changes=changes), OVERRIDES)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    with located(tmp_path_factory.mktemp("location")) as workspace:
        yield workspace


def scheduled(workspace: WorkspaceProcessContext, now: datetime) -> list[str]:
    """Tick once at the time `now`. The dates of all nightly runs that were requested so far."""
    tick_schedules(workspace, now)
    return sorted(run.tags[NIGHTLY_DATE] for run in workspace.instance.get_runs())


def test_after_a_week_without_the_daemon_one_nightly_run_is_caught_up(workspace: WorkspaceProcessContext) -> None:
    assert scheduled(workspace, datetime(2026, 1, 23, 12, tzinfo=UTC)) == []
    assert scheduled(workspace, datetime(2026, 1, 24, 3, 1, tzinfo=UTC)) == ["2026-01-24"]
    assert scheduled(workspace, datetime(2026, 1, 24, 3, 59, tzinfo=UTC)) == ["2026-01-24"]
    assert scheduled(workspace, datetime(2026, 1, 31, 12, tzinfo=UTC)) == ["2026-01-24", "2026-01-31"]
    assert scheduled(workspace, datetime(2026, 2, 1, 3, 1, tzinfo=UTC))[2:] == ["2026-02-01"]


@pytest.mark.parametrize(
    "timezone, dates",
    [
        # Three o'clock is 02:00 UTC in winter and 01:00 UTC from the 29th of March on. That night has no two o'clock.
        ("Europe/Berlin", {(3, 28, 2): "2026-03-28", (3, 29, 1): "2026-03-29", (3, 30, 1): "2026-03-30"}),
        # The night to the 25th of October has two o'clock twice.
        ("Europe/Berlin", {(10, 24, 1): "2026-10-24", (10, 25, 2): "2026-10-25", (10, 26, 2): "2026-10-26"}),
        # The date is the local one, a day ahead of UTC.
        ("Pacific/Auckland", {(1, 23, 14): "2026-01-24", (1, 24, 14): "2026-01-25"}),
    ],
)
def test_nightly_runs_follow_the_time_zone(
    tmp_path: Path, timezone: str, dates: dict[tuple[int, int, int], str]
) -> None:
    with located(tmp_path, timezone=timezone) as workspace:
        first = datetime(2026, *next(iter(dates)), tzinfo=UTC)
        assert scheduled(workspace, first - timedelta(minutes=30)) == []
        expected: list[str] = []
        for (month, day, hour), date in dates.items():
            due = datetime(2026, month, day, hour, tzinfo=UTC)
            assert scheduled(workspace, due - timedelta(minutes=1)) == expected
            expected.append(date)
            assert scheduled(workspace, due + timedelta(minutes=1)) == expected


def freshness(workspace: WorkspaceProcessContext, now: datetime) -> FreshnessState:
    check_freshness(workspace, now)
    record = workspace.instance.get_freshness_state_records([AssetKey("nightly")])[AssetKey("nightly")]
    return record.freshness_state


def test_the_asset_is_fresh_for_a_day_and_the_hours_that_a_nightly_run_may_be_late(
    workspace: WorkspaceProcessContext,
) -> None:
    with freeze_time(datetime(2026, 3, 1, 4, tzinfo=UTC)):
        workspace.instance.report_runless_asset_event(AssetMaterialization("nightly"))
    assert freshness(workspace, datetime(2026, 3, 2, 9, tzinfo=UTC)) is FreshnessState.PASS
    assert freshness(workspace, datetime(2026, 3, 2, 11, tzinfo=UTC)) is FreshnessState.FAIL
