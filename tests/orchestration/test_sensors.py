from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    SensorResult,
    build_sensor_context,
)
from dagster._core.test_utils import create_run_for_test

from orchestration.graph import Graph
from orchestration.jobs import verdicts
from orchestration.reading import load
from orchestration.sensors import external
from tests.orchestration.project import Project

pytestmark = pytest.mark.slow

SHARDS = {"shards@00000", "shards@00001"}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield instance


class Ticks:
    """The sensor, ticking as the daemon ticks it: what it reports is kept, and so is its cursor."""

    def __init__(self, project: Project, instance: DagsterInstance) -> None:
        self.graph: Graph = load(project.root)
        self.root, self.instance = project.root, instance
        self.cursor: str | None = None

    def tick(self) -> tuple[dict[str, str], dict[str, tuple[bool, str | None]]]:
        """Data versions and gate results that were reported, by asset and shard."""
        job = verdicts(self.graph, self.root)
        result = external(self.graph, self.root, job)(build_sensor_context(self.instance, cursor=self.cursor))
        if not isinstance(result, SensorResult):
            return {}, {}
        self.cursor = result.cursor
        made = [event for event in result.asset_events if isinstance(event, AssetMaterialization)]
        for event in made:
            self.instance.report_runless_asset_event(event)
        judged = []
        for _ in result.run_requests or []:
            judged += job.execute_in_process(instance=self.instance).get_asset_check_evaluations()
        return (
            {named(event): (event.tags or {})["dagster/data_version"] for event in made},
            {named(event): (event.passed, event.description) for event in judged},
        )


def named(event: AssetMaterialization | AssetCheckEvaluation) -> str:
    return event.asset_key.to_user_string() + (f"@{event.partition}" if event.partition else "")


def test_what_dvc_made_outside_is_reported_once_with_the_versions_of_dvc_lock(
    project: Project, instance: DagsterInstance
) -> None:
    ticks = Ticks(project, instance)
    versions, judged = ticks.tick()
    assert versions.keys() == {"index", *SHARDS, "tokenizer", "report"}
    assert f"md5: {versions['tokenizer']}" in (project.root / "dvc.lock").read_text(encoding="utf-8")
    assert judged.keys() == {"index", *SHARDS, "tokenizer"} and all(passed for passed, _ in judged.values())
    assert ticks.tick() == ({}, {})
    ticks.cursor = None  # a sensor that was reset still reports nothing twice
    assert ticks.tick() == ({}, {})


def test_a_gate_that_failed_outside_is_reported_as_a_failed_check_and_later_as_mended(
    project: Project, instance: DagsterInstance
) -> None:
    ticks = Ticks(project, instance)
    ticks.tick()
    project.rows("a", "bad1", "c", "d")
    assert project.repro().returncode == 255
    versions, judged = ticks.tick()
    assert versions.keys() == {"index", "shards@00001"}
    assert judged["shards@00001"] == (False, "rows: shard 00001: row bad1 does not decode")

    # A looser threshold would change the gate and not the data; here the gate itself is mended.
    work = project.root / "work.py"
    work.write_text(
        work.read_text(encoding="utf-8").replace('startswith("bad")', 'startswith("worse")'), encoding="utf-8"
    )
    assert project.repro().returncode == 0
    versions, judged = ticks.tick()
    assert "shards@00001" not in versions
    assert judged["shards@00001"] == (True, "all 3 checks passed")


def test_what_a_run_of_dagster_is_making_is_left_to_it_until_it_is_over(
    project: Project, instance: DagsterInstance
) -> None:
    ticks = Ticks(project, instance)
    run = create_run_for_test(instance, job_name="pipeline", status=DagsterRunStatus.STARTED)
    assert ticks.tick() == ({}, {})
    instance.report_run_failed(run)
    versions, _ = ticks.tick()
    assert "tokenizer" in versions
