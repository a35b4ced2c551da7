"""Dagster's SQLite while another process writes."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from dagster import AssetMaterialization, DagsterInstance

from orchestration.private_storage import SqlEventLogStorage
from tests.orchestration.daemon import create_run_for_test
from tests.orchestration.project import REPOSITORY

DAGSTER_WAITS = 5.0
"""Seconds after which Dagster's own storage of runs and schedules fails."""


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """An instance with our dagster.yaml."""
    shutil.copy(REPOSITORY / ".dagster" / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with DagsterInstance.get() as instance:
        yield instance


def test_every_database_waits_for_two_minutes(instance: DagsterInstance) -> None:
    run = create_run_for_test(instance).run_id
    events = cast(SqlEventLogStorage, instance.event_log_storage)
    connections = (
        instance.run_storage.connect(),  # type: ignore[attr-defined]
        instance.schedule_storage.connect(),  # type: ignore[union-attr]
        events.run_connection(run),
        events.index_connection(),
    )
    for each in connections:
        with each as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 120_000


@pytest.mark.slow
@pytest.mark.parametrize("database", ["history/runs.db", "schedules/schedules.db", "history/runs/index.db"])
def test_a_lock_of_six_seconds_delays_and_fails_nothing(
    instance: DagsterInstance, tmp_path: Path, database: str
) -> None:
    with ThreadPoolExecutor() as pool:
        with closing(sqlite3.connect(tmp_path / database, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            begin = time.monotonic()
            work = pool.submit(write_everywhere, instance)
            time.sleep(DAGSTER_WAITS + 1)
            assert not work.done()
            writer.execute("ROLLBACK")
        assert work.result() - begin > DAGSTER_WAITS


def write_everywhere(instance: DagsterInstance) -> float:
    """Write to each database. The monotonic time after that."""
    create_run_for_test(instance)
    instance.report_runless_asset_event(AssetMaterialization("index"))
    instance.purge_ticks("origin", "selector", before=0.0)
    return time.monotonic()
