from pathlib import Path

import pytest
from dagster import AssetMaterialization, DagsterInstance, JobDefinition, OpExecutionContext, job, op

from orchestration.sync import source
from orchestration.sync.source import changed_deps, forget_looks
from orchestration.sync.staleness import SOURCE


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


def looking(name: str) -> JobDefinition:
    @op
    def look(context: OpExecutionContext) -> None:
        print("looked")
        context.log_event(AssetMaterialization(SOURCE, description=context.run_id))

    @job(name=name)
    def whole() -> None:
        look()

    return whole


def test_old_looks_are_forgotten_and_what_the_newest_found_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "KEPT_LOOKS", 2)
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        other = looking("pipeline").execute_in_process(instance=instance).run_id
        runs = [looking("source").execute_in_process(instance=instance).run_id for _ in range(4)]
        assert len(list(tmp_path.rglob(f"*{runs[0]}*"))) > 0
        forget_looks(instance)
        assert {run.run_id for run in instance.get_runs()} == {other, *runs[2:]}
        newest = instance.get_latest_materialization_event(SOURCE)
        assert newest and newest.asset_materialization and newest.asset_materialization.description == runs[-1]
        assert instance.all_logs(runs[0]) == [] and instance.all_logs(other) != []
