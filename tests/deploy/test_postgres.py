"""Dagster's state in a real Postgres: written by a run in one process, read in another, and nothing beside it in SQLite."""

import json
import shutil
from pathlib import Path

import pytest

from tests.deploy.postgres import serving
from tests.orchestration.project import REPOSITORY, make

pytestmark = pytest.mark.slow
READ = """
import json
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    [run] = instance.get_runs()
    event = instance.get_latest_materialization_event(AssetKey("index"))
    print(json.dumps([type(instance.run_storage).__name__, run.status.value, event.run_id == run.run_id]))
"""


def test_a_run_and_its_events_lie_in_postgres(tmp_path: Path) -> None:
    project = make(tmp_path / "project")
    home = project.root / ".dagster"
    home.mkdir()
    shutil.copy(REPOSITORY / "deploy" / "postgres" / "dagster.yaml", home)
    with serving() as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, "DAGSTER_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}.items():
            patch.setenv(name, value)
        made = project.run("dagster", "asset", "materialize", "--select", "index", "-m", "orchestration.definitions")
        assert made.returncode == 0, made.stderr
        found = project.run("python", "-c", READ)
    assert json.loads(found.stdout) == ["PostgresRunStorage", "SUCCESS", True], found.stderr
    assert not list(home.rglob("*.db"))
