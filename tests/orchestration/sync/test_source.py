from pathlib import Path

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, JobDefinition, OpExecutionContext, job, op

from orchestration.graph.model import SOURCE
from orchestration.sync import source
from orchestration.sync.source import changed_deps, delete_old_runs


def test_only_changed_dependencies_count() -> None:
    status = {
        "index": [
            {"changed deps": {"data/raw": "modified"}, "changed outs": {"data/raw2": "deleted"}},
            "always changed",
        ],
        "shards@00000": ["changed command"],
    }
    assert changed_deps(status) == {"data/raw"}
    assert changed_deps({}) == set()


def source_job(name: str) -> JobDefinition:
    @op
    def check(context: OpExecutionContext) -> None:
        print("checked")
        context.log_event(AssetMaterialization(SOURCE, description=context.run_id))

    @job(name=name)
    def whole() -> None:
        check()

    return whole


def test_old_runs_are_deleted_and_the_newest_event_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_RUNS", 2)
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        other = source_job("pipeline").execute_in_process(instance=instance).run_id
        runs = [source_job("source").execute_in_process(instance=instance).run_id for _ in range(4)]
        assert len(list(tmp_path.rglob(f"*{runs[0]}*"))) > 0
        delete_old_runs(instance)
        assert {run.run_id for run in instance.get_runs()} == {other, *runs[2:]}
        newest = instance.get_latest_materialization_event(AssetKey(SOURCE))
        assert newest and newest.asset_materialization and newest.asset_materialization.description == runs[-1]
        assert instance.all_logs(runs[0]) == [] and instance.all_logs(other) != []
