"""External events: artefacts and check results of `dvc repro` that Dagster's event log does not hold yet.

The caller stores each event before it asks for the next, because an event names the events that it was made from.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import dagster as dg

from orchestration.assets.check_history import last_evaluation
from orchestration.assets.checks import FINGERPRINT, GATE_RAN, evaluation, read_check_results
from orchestration.assets.metadata import asset_metadata
from orchestration.assets.versions import version_tags
from orchestration.graph.model import Artefact, Graph, Unit
from orchestration.private import DATA_VERSION_TAG
from orchestration.sync.source import ENDED, source_events
from orchestration.sync.staleness import Staleness
from rectok.pipeline import lock

PIPELINE = "pipeline"
"""The job that may make every artefact."""
IN_PROGRESS = [status for status in dg.DagsterRunStatus if status not in ENDED]


def being_made(instance: dg.DagsterInstance, graph: Graph) -> set[str]:
    """Names of the artefacts that a run of Dagster is making."""
    names: set[str] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        if run.asset_selection is not None:
            names |= {key.path[-1] for key in run.asset_selection}
        elif run.job_name == PIPELINE:
            names |= {artefact.name for artefact in graph.artefacts}
    return names


def _made(
    graph: Graph, records: Mapping[str, lock.Record], busy: Collection[str]
) -> Iterator[tuple[Artefact, Unit, lock.Record]]:
    """Every unit that dvc.lock has a record of, except those of `busy` artefacts."""
    for artefact in graph.artefacts:
        if artefact.name not in busy:
            for unit in artefact.units:
                if unit.stage in records:
                    yield artefact, unit, records[unit.stage]


def materializations(
    instance: dg.DagsterInstance, graph: Graph, root: Path, busy: Collection[str] = ()
) -> Iterator[dg.AssetMaterialization]:
    """One for every unit whose md5 in dvc.lock is not the data version in the event log, except `busy` artefacts."""
    records = lock.read(root)
    yield from source_events(instance, graph, records)
    known: dict[str, Mapping[str | None, str | None]] = {}
    for artefact, unit, record in _made(graph, records, busy):
        if artefact.name not in known:
            known[artefact.name] = _known_versions(instance, artefact)
        if record.data_version != known[artefact.name].get(unit.shard):
            yield _materialization(instance, root, artefact, unit, record)


def confirmations(
    instance: dg.DagsterInstance,
    graph: Graph,
    root: Path,
    changed: Callable[[], Collection[str]],
    busy: Collection[str] = (),
) -> Iterator[dg.AssetMaterialization]:
    """One for every unit that is stale by Dagster and unchanged by DVC, such as a shard whose index is the same.

    `changed` returns the stages that DVC finds changed. It is called only if a unit is stale.
    """
    staleness = Staleness(instance, graph)
    stale = [entry for entry in _made(graph, lock.read(root), busy) if staleness.of(*entry[:2])]
    stages = changed() if stale else ()
    for artefact, unit, record in stale:
        if not any(stage in stages for stage in unit.stages):
            yield _materialization(instance, root, artefact, unit, record)


def _materialization(
    instance: dg.DagsterInstance, root: Path, artefact: Artefact, unit: Unit, record: lock.Record
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        artefact.name,
        partition=unit.shard,
        metadata=asset_metadata(root, artefact, unit, record),
        tags=version_tags(instance, artefact, record.data_version),
    )


def evaluations(
    instance: dg.DagsterInstance, graph: Graph, root: Path, busy: Collection[str] = ()
) -> Iterator[dg.AssetCheckEvaluation]:
    """The checks of every gate with a result about the current data that the event log does not hold, except `busy` artefacts.

    The one with the fingerprint comes last, so that an interruption leaves no gate half reported.
    """
    records = lock.read(root)
    for artefact, unit, _ in _made(graph, records, busy):
        if unit.gate and _is_current(root, unit, records):
            results = read_check_results(instance, root, unit, records)
            if _known_fingerprint(instance, artefact, unit) != results[-1].metadata[FINGERPRINT].value:
                # They are about the past, so they have nothing to block.
                yield from (evaluation(artefact, unit, result, blocking=False) for result in results)


def _known_versions(instance: dg.DagsterInstance, artefact: Artefact) -> Mapping[str | None, str | None]:
    """The data version of each shard's last event."""
    key = dg.AssetKey(artefact.name)
    if artefact.shards:
        event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
        tags = instance.event_log_storage.get_latest_tags_by_partition(key, event_type, [DATA_VERSION_TAG])
        return {shard: of_shard.get(DATA_VERSION_TAG) for shard, of_shard in tags.items()}
    entry = instance.get_latest_materialization_event(key)
    latest = entry.asset_materialization if entry else None
    return {None: (latest.tags or {}).get(DATA_VERSION_TAG)} if latest else {}


def _known_fingerprint(instance: dg.DagsterInstance, artefact: Artefact, unit: Unit) -> object:
    """The fingerprint of the gate's last result."""
    last = last_evaluation(instance, artefact.name, GATE_RAN, unit.shard)
    return last.metadata[FINGERPRINT].value if last and FINGERPRINT in last.metadata else None


def _is_current(root: Path, unit: Unit, records: Mapping[str, lock.Record]) -> bool:
    """Whether the gate's report is about the current data. DVC keeps no record of a gate that failed."""
    assert unit.gate and unit.report and unit.pass_marker
    if (root / unit.report).exists() and not (root / unit.pass_marker).exists():
        return True
    if unit.gate not in records:
        return False
    checked = {dep.path: dep.md5 for dep in records[unit.gate].deps}
    return all(checked.get(out.path, out.md5) == out.md5 for out in records[unit.stage].outs)
