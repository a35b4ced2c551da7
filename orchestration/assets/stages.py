"""Turns the graph of dvc.yaml into Dagster's assets and checks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
    StaticPartitionsDefinition,
    asset,
)
from dagster_shared.utils.warnings import disable_dagster_warnings

from orchestration.assets import checks as verdicts
from orchestration.assets import code_links as code
from orchestration.assets import metadata as results
from orchestration.assets.progress import Message, Observer
from orchestration.graph.model import Artefact, Graph, Unit
from orchestration.launcher import Launcher, failure
from orchestration.sync.staleness import parents
from rectok.pipeline import lock as locked
from rectok.pipeline.process import Finished


def assets(graph: Graph, root: Path) -> list[AssetsDefinition]:
    """One asset per artefact; those that run per shard are partitioned by the names of the shards."""
    # Links to the code and checks per partition are what Dagster calls beta and preview.
    page = code.hosted(root)
    with disable_dagster_warnings():
        return [_asset(artefact, root, page) for artefact in graph.artefacts]


def _asset(artefact: Artefact, root: Path, page: str | None) -> AssetsDefinition:
    # Equal lists of shards make equal definitions, so that artefacts of the same shards map onto each other.
    partitions = StaticPartitionsDefinition(list(artefact.shards)) if artefact.shards else None

    @asset(
        name=artefact.name,
        deps=parents(artefact),
        description=code.description(artefact, root, page),
        group_name=artefact.group,
        kinds=set(artefact.kinds),
        owners=[artefact.owner] if artefact.owner else None,
        tags=dict.fromkeys([*artefact.tags, *(["per_shard"] if partitions else [])], ""),
        code_version=artefact.version,
        pool=artefact.pool,
        partitions_def=partitions,
        metadata=_definition_metadata(artefact, root),
        check_specs=[_check(artefact, partitions)] if artefact.units[0].gate else None,
    )
    def make(context: AssetExecutionContext, launcher: Launcher) -> Iterator[MaterializeResult[None]]:
        unit = artefact.unit(context.partition_key if partitions else None)
        ran = bring_up_to_date(context, launcher, unit)
        yield _result(root, artefact, unit, ran)

    return make


def _check(artefact: Artefact, partitions: StaticPartitionsDefinition | None) -> AssetCheckSpec:
    return AssetCheckSpec(
        verdicts.CHECK,
        asset=artefact.name,
        blocking=True,
        partitions_def=partitions,
        description=f"What must be true of {artefact.name} before anything depends on it (dvc repro {artefact.units[0].gate})",
    )


def _definition_metadata(artefact: Artefact, root: Path) -> dict[str, object]:
    references = code.references(artefact, root)
    return {"dagster/code_references": references} if references else {}


@dataclass(frozen=True)
class Ran:
    """What was run to bring an artefact up to date; None where it was.

    The stage itself succeeded: `finished` tells how its gate fared.
    """

    finished: Finished | None = None
    last: Message = field(default_factory=dict)


def bring_up_to_date(context: AssetExecutionContext, launcher: Launcher, unit: Unit) -> Ran:
    """Run the stage of `unit` and then its gate, unless DVC finds both unchanged.

    A gate that fails is not an error here: its report says so. Raises Failure when the stage fails, and when a gate that
    it waits for has not passed for what there is now: a run of one stage alone would not notice that, `dvc repro` would.
    """
    changed = launcher.changed(context, *unit.waits_for, *unit.stages)
    waiting = [gate for gate in unit.waits_for if gate in changed]
    if waiting:
        raise Failure(
            f"{unit.stage} waits for {', '.join(waiting)}: materialize what it judges first", allow_retries=False
        )
    if not changed:
        context.log.info(f"{' and '.join(unit.stages)} did not change: nothing to do")
        return Ran()
    partition = context.partition_key if context.has_partition_key else None
    observer = Observer(context, Path(launcher.root), context.asset_key, partition)
    finished = launcher.repro(context, *unit.stages, told=observer)
    if finished.code and (unit.gate is None or finished.failed_at != unit.gate):
        raise failure(finished)
    return Ran(finished, observer.last)


def _result(root: Path, artefact: Artefact, unit: Unit, ran: Ran) -> MaterializeResult[None]:
    record = locked.read(root)[unit.stage]
    metadata = {**results.metadata(root, artefact, unit, record), "ran": ran.finished is not None}
    if ran.last:
        metadata["progress"] = MetadataValue.json(dict(ran.last))
    return MaterializeResult(
        data_version=DataVersion(record.data_version),
        metadata=metadata,
        check_results=[_check_result(root, unit, record, ran)] if unit.gate else None,
    )


def _check_result(root: Path, unit: Unit, record: locked.Record, ran: Ran) -> AssetCheckResult:
    verdict = verdicts.read(root, unit, record.data_version)
    if verdict.passed and ran.finished and ran.finished.code:  # it ended before it could touch its old report
        verdict = verdicts.not_run(verdict, f"{unit.gate} did not run: {ran.finished.reason}")
    return AssetCheckResult(
        check_name=verdicts.CHECK,
        passed=verdict.passed,
        severity=verdict.severity,
        description=verdict.description,
        metadata=verdict.metadata,
    )
