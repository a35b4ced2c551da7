"""Turns the graph of dvc.yaml into Dagster's assets and checks."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from orchestration.assets.checks import check_specs, evaluation, not_run, read_check_results
from orchestration.assets.metadata import asset_metadata
from orchestration.assets.progress import Message, Observer
from orchestration.assets.versions import data_version_tags, input_tags
from orchestration.graph.model import Artefact, Graph, Unit
from orchestration.launcher import Launcher, failure, without_dagster_warnings
from rectok.pipeline import lock
from rectok.pipeline.process import Finished

Event = dg.MaterializeResult[None] | dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.Output[None]
SHOWN = 5
"""Gates that a failure names."""
REMOTE = re.compile(r"(?:https?://(?:[^@/]*@)?|(?:ssh://)?git@)(?P<host>[^/:]+)[/:](?P<name>.+?)(?:\.git)?/?$")


def assets(graph: Graph, root: Path) -> list[dg.AssetsDefinition]:
    """One asset per artefact. Artefacts with shards get one partition per shard."""
    code_url = browse_url(root)
    with without_dagster_warnings():
        return [_asset(artefact, root, code_url) for artefact in graph.artefacts]


def _asset(artefact: Artefact, root: Path, code_url: str | None) -> dg.AssetsDefinition:
    # Equal lists of shards make equal definitions, so Dagster maps the partitions of such artefacts onto each other.
    partitions = dg.StaticPartitionsDefinition(list(artefact.shards)) if artefact.shards else None
    checks = check_specs(artefact, partitions)

    @dg.asset(
        name=artefact.name,
        deps=artefact.inputs,
        description=description(artefact, root, code_url),
        group_name=artefact.group,
        kinds=set(artefact.kinds),
        owners=[artefact.owner] if artefact.owner else None,
        tags=dict.fromkeys([*artefact.tags, *(["per_shard"] if partitions else [])], ""),
        code_version=artefact.version,
        pool=artefact.pool,
        partitions_def=partitions,
        metadata=code_references(artefact, root),
        check_specs=checks,
        # One run makes all shards that a backfill names. One per shard costs seconds each.
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def make(context: dg.AssetExecutionContext, launcher: Launcher) -> Iterator[Event]:
        reported: set[str | None] = set()
        if partitions and context.has_partition_key_range:
            yield from make_shards(context, launcher, artefact, root)
        else:
            unit = artefact.unit(context.partition_key if partitions else None)
            result = _result(context.instance, root, artefact, unit, bring_up_to_date(context, launcher, unit))
            reported = {check.check_name for check in result.check_results or ()}
            yield result
        # A later step of the run waits for an output of each check, also of those that the gate did not make.
        for spec in checks:
            if spec.name not in reported:
                yield dg.Output(None, spec.get_python_identifier())

    return make


def make_shards(
    context: dg.AssetExecutionContext, launcher: Launcher, artefact: Artefact, root: Path
) -> Iterator[Event]:
    """Bring many shards up to date in one run, and report each with its data version and checks.

    Shards that were made are reported even if others fail, for which Failure is raised at the end. Dagster adds an event
    without data version per shard to a run in which none fails, before ours.
    """
    units = [artefact.unit(shard) for shard in context.partition_keys]
    finished = bring_shards_up_to_date(context, launcher, units)
    left = launcher.changed_stages(context) if finished else frozenset()
    made = [unit for unit in units if unit.stage not in left]
    if len(made) == len(units):
        yield dg.MaterializeResult()
    records, shared = lock.read(root), input_tags(context.instance, artefact)
    for unit in made:
        record = records[unit.stage]
        metadata = {**asset_metadata(root, artefact, unit, record), "ran": finished is not None}
        tags = {**data_version_tags(record.data_version), **shared}
        yield dg.AssetMaterialization(artefact.name, partition=unit.shard, metadata=metadata, tags=tags)
        for check in _checks(context.instance, root, unit, records, unit.gate in left, finished):
            yield evaluation(artefact, unit, check, blocking=True)
    if finished and len(made) < len(units):
        raise failure(finished)


@dataclass(frozen=True)
class Update:
    """How an artefact came up to date. Its stage succeeded; `finished` tells of its gate, None if nothing had to run."""

    finished: Finished | None = None
    last_step: Message = field(default_factory=dict)


def bring_up_to_date(context: dg.AssetExecutionContext, launcher: Launcher, unit: Unit) -> Update:
    """Run the stage of `unit` and then its gate, unless DVC says that neither changed.

    Raises Failure if the stage fails, but not if its gate does, whose report has the reason. Also raises Failure if a gate in
    `unit.waits_for` has not passed for the current data, which `dvc repro` of one single stage does not check.
    """
    changed = launcher.changed(context, *unit.waits_for, *unit.stages)
    waiting = [gate for gate in unit.waits_for if gate in changed]
    if waiting:
        raise _waits(unit.stage, waiting)
    if not changed:
        context.log.info(f"{' and '.join(unit.stages)} did not change: nothing to do")
        return Update()
    partition = context.partition_key if context.has_partition_key else None
    observer = Observer(context, Path(launcher.root), context.asset_key, partition)
    finished = launcher.repro(context, *unit.stages, on_message=observer)
    if finished.code and (unit.gate is None or finished.failed_at != unit.gate):
        raise failure(finished)
    return Update(finished, observer.last_step)


def bring_shards_up_to_date(
    context: dg.AssetExecutionContext, launcher: Launcher, units: Sequence[Unit]
) -> Finished | None:
    """Run the stages and gates of many shards, unless none of them changed, which is None.

    Raises Failure if a gate that they wait for has not passed for the current data.
    """
    changed = launcher.changed_stages(context)
    waiting = sorted({gate for unit in units for gate in unit.waits_for if gate in changed})
    if waiting:
        raise _waits(units[0].stage, waiting)
    due = [unit for unit in units if changed.intersection(unit.stages)]
    context.log.info(f"{len(due)} of {len(units)} shards changed")
    return launcher.repro(context, *(stage for unit in due for stage in unit.stages)) if due else None


def _result(
    instance: dg.DagsterInstance, root: Path, artefact: Artefact, unit: Unit, update: Update
) -> dg.MaterializeResult[None]:
    records, finished = lock.read(root), update.finished
    record = records[unit.stage]
    metadata = {**asset_metadata(root, artefact, unit, record), "ran": finished is not None}
    if update.last_step:
        metadata["progress"] = dg.MetadataValue.json(dict(update.last_step))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record.data_version),
        metadata=metadata,
        check_results=_checks(instance, root, unit, records, bool(finished and finished.code), finished),
    )


def _checks(
    instance: dg.DagsterInstance,
    root: Path,
    unit: Unit,
    records: Mapping[str, lock.Record],
    gate_failed: bool,
    finished: Finished | None,
) -> list[dg.AssetCheckResult]:
    """The results of the unit's gate, which `finished` ran last. Empty if it has no gate."""
    results = read_check_results(instance, root, unit, records) if unit.gate else []
    if finished and gate_failed and all(result.passed or not _is_error(result) for result in results):
        # The gate ended before it replaced its old report.
        return [not_run(unit, f"{unit.gate} did not run: {finished.reason}")] if results else []
    return results


def _is_error(result: dg.AssetCheckResult) -> bool:
    return result.severity is dg.AssetCheckSeverity.ERROR


def _waits(stage: str, gates: Sequence[str]) -> dg.Failure:
    more = f" and {len(gates) - SHOWN} more" if len(gates) > SHOWN else ""
    names = f"{', '.join(gates[:SHOWN])}{more}"
    return dg.Failure(f"{stage} waits for {names}: materialize its asset first", allow_retries=False)


def code_files(artefact: Artefact, root: Path) -> list[str]:
    """The files of the stage and of its gate that exist in the project at `root`."""
    paths = [f"rectok/{folder}/{artefact.name}.py" for folder in ("stages", "gates")]
    return [path for path in paths if (root / path).exists()]


def code_references(artefact: Artefact, root: Path) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Metadata with the files that "Open in editor" opens. Empty if there are none."""
    references = [
        dg.LocalFileCodeReference(file_path=str(root / path), line_number=1, label=path)
        for path in code_files(artefact, root)
    ]
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)} if references else {}


def description(artefact: Artefact, root: Path, code_url: str | None) -> str:
    """The description of the asset in Markdown: its commands and its files, linked if `code_url` is known."""
    first = artefact.units[0]
    stage = f"Made by `{_generic(first.command, first)}`" + (" for every shard" if artefact.shards else "")
    gate = f", checked by `dvc repro {_generic(first.gate, first)}`" if first.gate else ""
    links = [f"[{path}]({code_url}/{path})" if code_url else f"`{path}`" for path in code_files(artefact, root)]
    code = f" Code: {', '.join(links)}." if links else ""
    return f"{artefact.description}\n\n{stage}{gate}.{code}"


def _generic(text: str, unit: Unit) -> str:
    """`text` with SHARD in place of the name of the unit's shard."""
    return text.replace(unit.shard, "SHARD") if unit.shard else text


def browse_url(root: Path) -> str | None:
    """Address of the project's files on the server of the git remote `origin`. None without such a remote."""
    command = ("git", "remote", "get-url", "origin")
    remote = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
    match = REMOTE.match(remote)
    return f"https://{match['host']}/{match['name']}/blob/HEAD" if match else None
