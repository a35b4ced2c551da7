"""Events for what DVC made without Dagster: materializations and check results that the event log does not hold yet.

They are made one by one and each is to be stored before the next is asked for: it names the events it was made from.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    RunsFilter,
)
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from orchestration.assets import checks as verdicts
from orchestration.assets import metadata as results
from orchestration.graph.model import Artefact, Graph, Unit
from orchestration.sync import source
from orchestration.sync import staleness as versions
from rectok.pipeline import lock as locked

PIPELINE = "pipeline"
"""The job that may make every artefact."""
RESULTS = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def being_made(instance: DagsterInstance, graph: Graph) -> set[str]:
    """Names of the artefacts that a run of Dagster is making."""
    found: set[str] = set()
    for run in instance.get_runs(RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES))):
        if run.asset_selection is not None:
            found |= {key.path[-1] for key in run.asset_selection}
        elif run.job_name == PIPELINE:
            found |= {artefact.name for artefact in graph.artefacts}
    return found


def materializations(
    instance: DagsterInstance, graph: Graph, root: Path, busy: Collection[str] = ()
) -> Iterator[AssetMaterialization]:
    """One for every artefact but the `busy` ones, whose md5 in dvc.lock is not the data version that is known."""
    records = locked.read(root)
    yield from source.news(instance, graph, records)
    for artefact in graph.artefacts:
        if artefact.name in busy:
            continue
        known = _known_versions(instance, artefact)
        for unit in artefact.units:
            record = records.get(unit.stage)
            if record and record.data_version != known.get(unit.shard):
                yield _materialization(instance, root, artefact, unit, record)


def confirmations(
    instance: DagsterInstance,
    graph: Graph,
    root: Path,
    changed: Callable[[], Collection[str]],
    busy: Collection[str] = (),
) -> Iterator[AssetMaterialization]:
    """One for every artefact that Dagster takes for stale and DVC for unchanged, such as a shard whose index is the same.

    `changed` returns the stages that `dvc status` lists, and is asked only if there is a doubt.
    """
    records, staleness = locked.read(root), versions.Staleness(instance, graph)
    doubtful = [
        (artefact, unit)
        for artefact in graph.artefacts
        if artefact.name not in busy
        for unit in artefact.units
        if unit.stage in records and staleness.of(artefact, unit)
    ]
    listed = changed() if doubtful else ()
    for artefact, unit in doubtful:
        if not any(stage in listed for stage in unit.stages):
            yield _materialization(instance, root, artefact, unit, records[unit.stage])


def _materialization(
    instance: DagsterInstance, root: Path, artefact: Artefact, unit: Unit, record: locked.Record
) -> AssetMaterialization:
    return AssetMaterialization(
        artefact.name,
        partition=unit.shard,
        metadata=results.metadata(root, artefact, unit, record),
        tags=versions.tags(instance, artefact, record.data_version),
    )


def evaluations(
    instance: DagsterInstance, graph: Graph, root: Path, busy: Collection[str] = ()
) -> Iterator[AssetCheckEvaluation]:
    """One for every gate but those of `busy` artefacts, whose result is about what there is, and is not known yet."""
    records = locked.read(root)
    for artefact in graph.artefacts:
        if artefact.name in busy:
            continue
        for unit in artefact.units:
            record = records.get(unit.stage)
            if record and unit.gate and _speaks_of_what_is(root, unit, records):
                verdict = verdicts.read(root, unit, record.data_version)
                if _known_fingerprint(instance, artefact, unit) != verdict.fingerprint:
                    yield _evaluation(artefact, unit, verdict)


def _evaluation(artefact: Artefact, unit: Unit, verdict: verdicts.Verdict) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        AssetKey(artefact.name),
        verdicts.CHECK,
        passed=verdict.passed,
        severity=verdict.severity,
        description=verdict.description,
        metadata=verdict.metadata,
        blocking=False,  # it tells of the past, and has nothing to hold back
        partition=unit.shard,
    )


def _known_versions(instance: DagsterInstance, artefact: Artefact) -> Mapping[str | None, str | None]:
    key = AssetKey(artefact.name)
    if artefact.shards:
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
        )
        return {shard: found.get(DATA_VERSION_TAG) for shard, found in tags.items()}
    entry = instance.get_latest_materialization_event(key)
    latest = entry.asset_materialization if entry else None
    return {None: (latest.tags or {}).get(DATA_VERSION_TAG)} if latest else {}


def _speaks_of_what_is(root: Path, unit: Unit, records: Mapping[str, locked.Record]) -> bool:
    """Whether the gate's report is about the artefact as it is. DVC keeps no record of a gate that failed."""
    assert unit.report and unit.verdict
    failed = (root / unit.report).exists() and not (root / unit.verdict).exists()
    return failed or _is_current(unit, records)


def _known_fingerprint(instance: DagsterInstance, artefact: Artefact, unit: Unit) -> object:
    key = AssetCheckKey(AssetKey(artefact.name), verdicts.CHECK)
    # A run that was only planned has no result, and must not make an old one look new.
    executions = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=1, status=RESULTS, partition_filter=PartitionKeyFilter(key=unit.shard)
    )
    event = executions[0].event.dagster_event if executions and executions[0].event else None
    told = event.event_specific_data if event else None
    if not isinstance(told, AssetCheckEvaluation) or verdicts.FINGERPRINT not in told.metadata:
        return None
    return told.metadata[verdicts.FINGERPRINT].value


def _is_current(unit: Unit, records: Mapping[str, locked.Record]) -> bool:
    """Whether the last gate that passed had seen what the stage made last."""
    if unit.gate is None or unit.gate not in records or unit.stage not in records:
        return False
    seen = {dep.path: dep.md5 for dep in records[unit.gate].deps}
    return all(seen.get(out.path, out.md5) == out.md5 for out in records[unit.stage].outs)
