"""The inputs from outside as an asset of their own; an hourly job asks DVC, which lists all of them, whether they changed."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.assets.versions import data_version_tags, version_of
from orchestration.graph.model import SOURCE, Graph
from orchestration.launcher import Launcher, single_op_job
from rectok.pipeline import lock

HOURLY = "7 * * * *"
MAX_RUNS = 168
"""Runs of the job that are not deleted: those of a week. A year has 8 760."""
CHANGED = "changed since "
"""Precedes the version that the pipeline has read, if the inputs have changed since."""
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def source(graph: Graph, root: Path) -> dg.Definitions:
    """The asset and its hourly job. Empty if no stage reads anything from outside."""
    if not graph.sources:
        return dg.Definitions()
    spec = dg.AssetSpec(
        SOURCE,
        description=f"Read by the pipeline and made by no stage: {', '.join(graph.sources)}",
        group_name="data",
        kinds={"file"},
    )
    check = _job(graph, root)
    running = dg.DefaultScheduleStatus.RUNNING
    hourly = dg.ScheduleDefinition(
        name=check.name,
        job=check,
        cron_schedule=HOURLY,
        default_status=running,
        description="Checks every hour whether external inputs have changed since the pipeline read them",
    )
    return dg.Definitions(assets=[spec], jobs=[check], schedules=[hourly])


def _job(graph: Graph, root: Path) -> dg.JobDefinition:
    readers = [unit.stage for artefact in graph.artefacts if artefact.sources for unit in artefact.units]

    @dg.op(out=dg.Out(dg.Nothing), description=f"dvc status {' '.join(readers)}")
    def check_source(context: dg.OpExecutionContext, launcher: Launcher) -> Iterator[dg.AssetMaterialization]:
        status = launcher.changed(context, *readers)
        version = version_read(graph, lock.read(root))
        yield _event(f"{CHANGED}{version}" if changed_deps(status) & set(graph.sources) else version)
        delete_old_runs(context.instance)

    description = "Check whether the inputs from outside are still those that the pipeline has read"
    return single_op_job(check_source, SOURCE, description)


def delete_old_runs(instance: dg.DagsterInstance) -> None:
    """Delete all but the newest ended runs of the job, with their events and logs. The newest hold all that is known."""
    for run in instance.get_runs(dg.RunsFilter(job_name=SOURCE, statuses=ENDED))[MAX_RUNS:]:
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


def _event(version: str) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(SOURCE, tags=data_version_tags(version))


def source_events(
    instance: dg.DagsterInstance, graph: Graph, records: Mapping[str, lock.Record]
) -> Iterator[dg.AssetMaterialization]:
    """One event if the pipeline has read another version since the last event."""
    version = version_read(graph, records)
    if graph.sources and records and version_of(instance, dg.AssetKey(SOURCE)).removeprefix(CHANGED) != version:
        yield _event(version)
