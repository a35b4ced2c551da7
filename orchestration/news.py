"""Events for what DVC made without Dagster: materializations and check results that the event log does not hold yet."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
)
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.tags import SYSTEM_TAG_PREFIX

from orchestration import locked, results, verdicts
from orchestration.graph import Artefact, Graph, Unit

DATA_VERSION = f"{SYSTEM_TAG_PREFIX}data_version"

Event = AssetMaterialization | AssetCheckEvaluation


def news(instance: DagsterInstance, graph: Graph, root: Path, busy: Collection[str] = ()) -> Iterator[Event]:
    """Events for every artefact but the `busy` ones, whose dvc.lock entry or gate report differs from what is known."""
    records = locked.read(root)
    for artefact in graph.artefacts:
        if artefact.name in busy:
            continue
        known = _known_versions(instance, artefact)
        for unit in artefact.units:
            if record := records.get(unit.stage):
                yield from _of_unit(
                    instance, root, artefact, unit, records, record.data_version != known.get(unit.shard)
                )


def _of_unit(
    instance: DagsterInstance,
    root: Path,
    artefact: Artefact,
    unit: Unit,
    records: Mapping[str, locked.Record],
    made: bool,
) -> Iterator[Event]:
    record = records[unit.stage]
    if made:
        yield AssetMaterialization(
            artefact.name,
            partition=unit.shard,
            metadata=results.metadata(root, artefact, unit, record),
            tags={DATA_VERSION: record.data_version},
        )
    if unit.gate and _speaks_of_what_is(root, unit, records) and (made or _is_new(instance, root, artefact, unit)):
        verdict = verdicts.read(root, unit)
        yield AssetCheckEvaluation(
            AssetKey(artefact.name),
            verdicts.CHECK,
            passed=verdict.passed,
            severity=verdict.severity,
            description=verdict.description,
            metadata=verdict.metadata,
            blocking=True,
            partition=unit.shard,
        )


def _known_versions(instance: DagsterInstance, artefact: Artefact) -> Mapping[str | None, str | None]:
    key = AssetKey(artefact.name)
    if artefact.shards:
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION]
        )
        return {shard: found.get(DATA_VERSION) for shard, found in tags.items()}
    entry = instance.get_latest_materialization_event(key)
    latest = entry.asset_materialization if entry else None
    return {None: (latest.tags or {}).get(DATA_VERSION)} if latest else {}


def _speaks_of_what_is(root: Path, unit: Unit, records: Mapping[str, locked.Record]) -> bool:
    """Whether the gate's report is about the artefact as it is. DVC keeps no record of a gate that failed."""
    assert unit.report and unit.verdict
    failed = (root / unit.report).exists() and not (root / unit.verdict).exists()
    return failed or locked.judged_as_it_is(unit, records)


def _is_new(instance: DagsterInstance, root: Path, artefact: Artefact, unit: Unit) -> bool:
    key = AssetCheckKey(AssetKey(artefact.name), verdicts.CHECK)
    executions = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=1, partition_filter=PartitionKeyFilter(key=unit.shard)
    )
    if not executions or not executions[0].event or not executions[0].event.dagster_event:
        return True
    last = executions[0].event.dagster_event.event_specific_data
    if not isinstance(last, AssetCheckEvaluation):
        return True
    told = last.metadata.get(verdicts.FINGERPRINT)
    return told is None or told.value != verdicts.fingerprint(root, unit)
