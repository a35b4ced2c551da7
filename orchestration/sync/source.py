"""The inputs from outside as an asset of their own. DVC says whether they are still what the pipeline has read.

DVC has to list all of them for that, so a job checks every hour, and not the sensor.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSpec,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    Definitions,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    Out,
    Output,
    RunsFilter,
    ScheduleDefinition,
    job,
    op,
)

from orchestration.graph.model import SOURCE, Graph
from orchestration.launcher import Launcher
from orchestration.sync.staleness import data_version_tags, version_of
from rectok.pipeline import lock

HOURLY = "7 * * * *"
MAX_RUNS = 168
"""Runs of the job that are not deleted: those of a week. A year has 8 760."""
CHANGED = "changed since "
"""Precedes the version that the pipeline has read, if the inputs have changed since."""
ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def source(graph: Graph, root: Path) -> Definitions:
    """The asset and its hourly job. Empty if no stage reads anything from outside."""
    if not graph.sources:
        return Definitions()
    spec = AssetSpec(
        SOURCE,
        description=f"Read by the pipeline and made by no stage: {', '.join(graph.sources)}",
        group_name="data",
        kinds={"file"},
    )
    check = _job(graph, root)
    hourly = ScheduleDefinition(
        name=check.name, job=check, cron_schedule=HOURLY, default_status=DefaultScheduleStatus.RUNNING
    )
    return Definitions(assets=[spec], jobs=[check], schedules=[hourly])


def _job(graph: Graph, root: Path) -> JobDefinition:
    readers = [unit.stage for artefact in graph.artefacts if artefact.sources for unit in artefact.units]

    @op(out=Out(Nothing), description=f"dvc status {' '.join(readers)}")
    def check_source(context: OpExecutionContext, launcher: Launcher) -> Iterator[AssetMaterialization | Output[None]]:
        status = launcher.changed(context, *readers)
        version = version_read(graph, lock.read(root))
        yield _event(f"{CHANGED}{version}" if changed_deps(status) & set(graph.sources) else version)
        delete_old_runs(context.instance)
        yield Output(None)

    @job(name=SOURCE, description="Check whether the inputs from outside are still those that the pipeline has read")
    def whole() -> None:
        check_source()

    return whole


def delete_old_runs(instance: DagsterInstance) -> None:
    """Delete all but the newest ended runs of the job, with their events and logs. The newest hold all that is known."""
    for run in instance.get_runs(RunsFilter(job_name=SOURCE, statuses=ENDED))[MAX_RUNS:]:
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        instance.delete_run(run.run_id)


def changed_deps(status: Mapping[str, Any]) -> set[str]:
    """The dependencies that `dvc status` lists as changed, of any stage."""
    entries = [entry for reasons in status.values() for entry in reasons if isinstance(entry, Mapping)]
    return {path for entry in entries for path in entry.get("changed deps", {})}


def version_read(graph: Graph, records: Mapping[str, lock.Record]) -> str:
    """The version of the inputs that the pipeline has read last, from the hashes in dvc.lock."""
    deps = {dep.path: dep.md5 for record in records.values() for dep in record.deps if dep.path in graph.sources}
    text = "".join(f"{path} {md5}\n" for path, md5 in sorted(deps.items()))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _event(version: str) -> AssetMaterialization:
    return AssetMaterialization(SOURCE, tags=data_version_tags(version))


def source_events(
    instance: DagsterInstance, graph: Graph, records: Mapping[str, lock.Record]
) -> Iterator[AssetMaterialization]:
    """One event if the pipeline has read another version since the last event."""
    version = version_read(graph, records)
    if graph.sources and records and version_of(instance, AssetKey(SOURCE)).removeprefix(CHANGED) != version:
        yield _event(version)
