"""The data that comes from outside, as an asset of its own: DVC says whether it is still what the pipeline has read.

To look takes DVC the time to list all of it, so a job does it every hour, and not the sensor.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import (
    AssetMaterialization,
    AssetSpec,
    DagsterInstance,
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
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from orchestration.graph.model import Graph
from orchestration.launcher import Launcher
from orchestration.sync.staleness import SOURCE, version_of
from rectok.pipeline import lock as locked

HOURLY = "7 * * * *"
KEPT_LOOKS = 168
"""Runs of the job that are kept, a week of them: else a year would leave 8 760."""
CHANGED = "changed since "
"""Stands before the version that the pipeline has read, where the data is no longer that."""


def source(graph: Graph, root: Path) -> Definitions:
    """The asset, and the job that looks whether it has changed; nothing where no stage reads from outside."""
    if not graph.sources:
        return Definitions()
    spec = AssetSpec(
        SOURCE,
        description=f"Read by the pipeline and made by nobody in it: {', '.join(graph.sources)}",
        group_name="data",
        kinds={"file"},
    )
    look = _job(graph, root)
    hourly = ScheduleDefinition(
        name=look.name, job=look, cron_schedule=HOURLY, default_status=DefaultScheduleStatus.RUNNING
    )
    return Definitions(assets=[spec], jobs=[look], schedules=[hourly])


def _job(graph: Graph, root: Path) -> JobDefinition:
    readers = [unit.stage for artefact in graph.artefacts if artefact.sources for unit in artefact.units]

    @op(out=Out(Nothing), description=f"dvc status {' '.join(readers)}")
    def look(context: OpExecutionContext, launcher: Launcher) -> Iterator[AssetMaterialization | Output[None]]:
        status = launcher.changed(context, *readers)
        read = version_read(graph, locked.read(root))
        yield _event(f"{CHANGED}{read}" if changed_deps(status) & set(graph.sources) else read)
        forget_looks(context.instance)
        yield Output(None)

    @job(name=SOURCE.to_user_string(), description="Look whether the data from outside is still what was read")
    def whole() -> None:
        look()

    return whole


def forget_looks(instance: DagsterInstance) -> None:
    """Delete all but the newest ended runs of the job, with their events and logs; the newest say all that is known."""
    ended = RunsFilter(job_name=SOURCE.to_user_string(), statuses=FINISHED_STATUSES)
    for run in instance.get_runs(ended)[KEPT_LOOKS:]:
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        instance.delete_run(run.run_id)


def changed_deps(status: Mapping[str, Any]) -> set[str]:
    """The dependencies that `dvc status` lists as changed, of any stage."""
    entries = [entry for reasons in status.values() for entry in reasons if isinstance(entry, Mapping)]
    return {path for entry in entries for path in entry.get("changed deps", {})}


def version_read(graph: Graph, records: Mapping[str, locked.Record]) -> str:
    """The version of the outside data that the pipeline has read last, from the hashes in dvc.lock."""
    deps = {dep.path: dep.md5 for record in records.values() for dep in record.deps if dep.path in graph.sources}
    text = "".join(f"{path} {md5}\n" for path, md5 in sorted(deps.items()))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _event(version: str) -> AssetMaterialization:
    """An event that gives the outside data its version."""
    return AssetMaterialization(SOURCE, tags={DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"})


def news(
    instance: DagsterInstance, graph: Graph, records: Mapping[str, locked.Record]
) -> Iterator[AssetMaterialization]:
    """One event where the pipeline has read something new since the last."""
    read = version_read(graph, records)
    if graph.sources and records and version_of(instance, SOURCE).removeprefix(CHANGED) != read:
        yield _event(read)
