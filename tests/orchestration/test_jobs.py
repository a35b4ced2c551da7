from pathlib import Path

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, JobDefinition

from orchestration.experiments import experiments
from orchestration.graph.derive import load
from orchestration.graph.model import Graph
from orchestration.jobs import pipeline
from orchestration.launcher import Launcher
from tests.orchestration.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("commands_at_once")]


def run(project: Project, instance: DagsterInstance) -> ExecuteInProcessResult:
    job = pipeline(load(project.root), project.root)
    resources = {"launcher": Launcher(root=str(project.root))}
    return job.execute_in_process(instance=instance, resources=resources, raise_on_error=False)


def test_jobs_that_train_use_the_accelerator_pool(tmp_path: Path) -> None:
    jobs = [pipeline(Graph(()), tmp_path), *(experiments(tmp_path).jobs or ())]
    pools = {job.name: [node.definition.pool for node in job.nodes] for job in jobs if isinstance(job, JobDefinition)}  # type: ignore[attr-defined]
    assert pools == {"pipeline": ["accelerator"], "sweep": ["accelerator"], "experiment": ["accelerator"]}


def test_the_pipeline_as_one_run_reports_what_is_new_and_fails_where_dvc_fails(
    project: Project, instance: DagsterInstance
) -> None:
    def made(result: ExecuteInProcessResult) -> list[tuple[str, str | None]]:
        events = [event.materialization for event in result.get_asset_materialization_events()]
        return [(event.asset_key.to_user_string(), event.partition) for event in events]

    def checked(result: ExecuteInProcessResult) -> dict[str, bool]:
        evaluations = result.get_asset_check_evaluations()
        return {
            e.asset_key.to_user_string() + (f"@{e.partition}" if e.partition else "") + f" {e.check_name}": e.passed
            for e in evaluations
        }

    def observed(result: ExecuteInProcessResult) -> list[tuple[str, float]]:
        observations = [
            event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()
        ]
        return [(each.asset_key.to_user_string(), float(str(each.metadata["step"].value))) for each in observations]

    everything = run(project, instance)
    assert everything.success and len(made(everything)) == 6 and all(checked(everything).values())
    assert made(run(project, instance)) == []

    project.rows("a", "bad1", "c", "d")
    broken = run(project, instance)
    assert not broken.success
    assert made(broken) == [("source", None), ("index", None), ("shards", "00001")]
    assert checked(broken) == {"index gate_ran": True, "shards@00001 rows": False, "shards@00001 gate_ran": True}

    project.rows("a", "b2", "c", "d")
    fixed = run(project, instance)
    assert fixed.success and checked(fixed)["shards@00001 rows"]
    assert observed(fixed) == [("tokenizer", 1.0), ("tokenizer", 2.0)]  # at once, and with the picture of step 2
    assert "Data and pipelines are up to date." in project.repro().stdout
