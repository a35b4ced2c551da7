import json
import subprocess
import sys

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    SensorResult,
    build_sensor_context,
)

from orchestration.assets.checks import GATE_RAN
from orchestration.graph.derive import load
from orchestration.graph.model import Graph
from orchestration.jobs import check_results
from orchestration.sync.sensor import _changed, external
from orchestration.sync.staleness import Staleness
from tests.orchestration.daemon import AssetCheckEvaluationPlanned, create_run_for_test
from tests.orchestration.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("commands_at_once")]

SHARDS = {"shards@00000", "shards@00001"}


class Ticks:
    """Ticks the sensor as the daemon does, with its cursor."""

    def __init__(self, project: Project, instance: DagsterInstance) -> None:
        self.graph: Graph = load(project.root)
        self.root, self.instance = project.root, instance
        self.cursor: str | None = None

    def tick(self) -> tuple[dict[str, str], dict[str, tuple[bool, str | None]]]:
        """Data versions and gate results that were reported, by asset and shard."""
        job = check_results(self.graph, self.root)
        before = self.instance.event_log_storage.get_maximum_record_id() or 0
        result = external(self.graph, self.root, job, 30)(build_sensor_context(self.instance, cursor=self.cursor))
        if not isinstance(result, SensorResult):
            return {}, {}
        self.cursor = result.cursor
        made = self.made_since(before)
        judged = []
        for _ in result.run_requests or []:
            judged += job.execute_in_process(instance=self.instance).get_asset_check_evaluations()
        return (
            {named(event): (event.tags or {})["dagster/data_version"] for event in made},
            {named(event): (event.passed, event.description) for event in judged},
        )

    def made_since(self, cursor: int) -> list[AssetMaterialization]:
        """Materializations that came after the event `cursor`."""
        filters = [
            AssetRecordsFilter(asset_key=AssetKey(artefact.name), after_storage_id=cursor)
            for artefact in self.graph.artefacts
        ]
        records = [record for each in filters for record in self.instance.fetch_materializations(each, 99).records]
        return [record.asset_materialization for record in records if record.asset_materialization]

    def stale(self) -> set[str]:
        """Units that are stale by Dagster with the current definitions."""
        self.graph = load(self.root)
        staleness = Staleness(self.instance, self.graph)
        units = [(artefact, unit) for artefact in self.graph.artefacts for unit in artefact.units]
        return {unit.stage for artefact, unit in units if staleness.of(artefact, unit)}


def named(event: AssetMaterialization | AssetCheckEvaluation) -> str:
    name = event.asset_key.to_user_string() + (f"@{event.partition}" if event.partition else "")
    check = event.check_name if isinstance(event, AssetCheckEvaluation) else GATE_RAN
    return name if check == GATE_RAN else f"{name} {check}"


def test_what_dvc_made_outside_is_reported_once_with_the_versions_of_dvc_lock(
    project: Project, instance: DagsterInstance
) -> None:
    ticks = Ticks(project, instance)
    versions, judged = ticks.tick()
    assert versions.keys() == {"index", *SHARDS, "tokenizer", "report"}
    assert f"md5: {versions['tokenizer']}" in (project.root / "dvc.lock").read_text(encoding="utf-8")
    assert judged.keys() == {"index", *SHARDS, *(f"{shard} rows" for shard in SHARDS), "tokenizer"} and all(
        passed for passed, _ in judged.values()
    )
    assert ticks.tick() == ({}, {})
    ticks.cursor = None  # even after a reset the sensor reports nothing twice
    assert ticks.tick() == ({}, {})


def test_a_gate_that_failed_outside_is_reported_as_a_failed_check_and_later_as_passed(
    project: Project, instance: DagsterInstance
) -> None:
    ticks = Ticks(project, instance)
    ticks.tick()
    project.rows("a", "bad1", "c", "d")
    assert project.repro().returncode == 255
    versions, judged = ticks.tick()
    assert versions.keys() == {"index", *SHARDS}  # the other shard is confirmed
    assert judged["shards@00001 rows"] == (False, "rows: shard 00001: row bad1 does not decode")

    # A looser threshold would change the gate and not the data. Here the code of the gate is fixed.
    work = project.root / "work.py"
    work.write_text(
        work.read_text(encoding="utf-8").replace('startswith("bad")', 'startswith("worse")'), encoding="utf-8"
    )
    assert project.repro().returncode == 0
    versions, judged = ticks.tick()
    assert "shards@00001" not in versions
    assert judged["shards@00001"] == (True, "all 3 passed") and judged["shards@00001 rows"] == (True, "passed")


def test_artefacts_that_a_run_is_making_are_reported_after_the_run(project: Project, instance: DagsterInstance) -> None:
    ticks = Ticks(project, instance)
    run = create_run_for_test(instance, job_name="pipeline", status=DagsterRunStatus.STARTED)
    assert ticks.tick() == ({}, {})
    instance.report_run_failed(run)
    versions, _ = ticks.tick()
    assert "tokenizer" in versions


def test_an_old_check_result_is_not_reported_again_after_a_planned_run_or_during_a_run(
    project: Project, instance: DagsterInstance
) -> None:
    ticks = Ticks(project, instance)
    ticks.tick()

    def reported() -> set[str]:
        result = check_results(ticks.graph, project.root).execute_in_process(instance=instance)
        return {named(event) for event in result.get_asset_check_evaluations()}

    # Dagster writes this event when it launches a run.
    key = AssetKey("tokenizer")
    run = create_run_for_test(
        instance, "__ASSET_JOB", asset_selection=frozenset([key]), status=DagsterRunStatus.STARTED
    )
    plan = DagsterEvent(
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
        run.job_name,
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=key, check_name=GATE_RAN),
    )
    instance.report_dagster_event(plan, run.run_id)
    report = project.root / "data" / "checks" / "tokenizer.json"
    content = report.read_text(encoding="utf-8")
    report.write_text(content + "\n", encoding="utf-8")
    assert reported() == set()
    instance.report_run_failed(run)
    assert reported() == {"tokenizer"}
    instance.report_dagster_event(plan, create_run_for_test(instance).run_id)
    assert reported() == set()


def test_units_are_stale_only_if_dvc_finds_them_changed(project: Project, instance: DagsterInstance) -> None:
    ticks = Ticks(project, instance)
    ticks.tick()
    assert ticks.stale() == set()
    project.change("tokenizer.training.epochs", 99)
    project.rows("a", "b2", "c", "d")
    assert project.repro("index", "gate@index").returncode == 0
    # To Dagster both shards are stale, since the index changed. DVC compares the table of each shard.
    versions, _ = ticks.tick()
    assert versions.keys() == {"index", "shards@00000"}
    assert ticks.stale() == {"shards@00001", "tokenizer"}


def test_a_tick_neither_waits_for_the_locks_of_dvc_nor_holds_them(project: Project, instance: DagsterInstance) -> None:
    ticks = Ticks(project, instance)
    ticks.tick()
    project.rows("a", "b2", "c", "d")
    assert project.repro("index", "gate@index").returncode == 0
    hold = "import sys; from dvc.repo import Repo; Repo().lock.lock(); print(1, flush=True); sys.stdin.read()"
    command = (sys.executable, "-c", hold)
    with subprocess.Popen(
        command, cwd=project.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline()
        versions, _ = ticks.tick()
    assert versions.keys() == {"index", "shards@00000"}


def test_the_sensor_finds_the_stages_that_dvc_status_lists(project: Project) -> None:
    project.change("tokenizer.training.epochs", 99)
    project.rows("a", "b2", "c", "d")
    (project.root / "data" / "shards" / "00001.txt").unlink()
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("work.py report", "work.py  report"), "utf-8")
    listed = json.loads(project.run("dvc", "status", "--json").stdout)
    assert sorted(_changed(project.root)) == sorted(listed)
    assert {"index", "tokenizer", "shards@00001", "gate-shards@00001", "report"} <= listed.keys()
