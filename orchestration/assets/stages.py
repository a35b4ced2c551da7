"""Turns the graph of dvc.yaml into Dagster's assets and checks."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    CodeReferencesMetadataValue,
    DataVersion,
    Failure,
    LocalFileCodeReference,
    MaterializeResult,
    MetadataValue,
    StaticPartitionsDefinition,
    asset,
)

from orchestration.assets.checks import CHECK, outdated, read_check_result
from orchestration.assets.metadata import asset_metadata
from orchestration.assets.progress import Message, Observer
from orchestration.graph.model import Artefact, Graph, Unit
from orchestration.launcher import Launcher, failure, without_dagster_warnings
from rectok.pipeline import lock
from rectok.pipeline.process import Finished

REMOTE = re.compile(r"(?:https?://(?:[^@/]*@)?|(?:ssh://)?git@)(?P<host>[^/:]+)[/:](?P<name>.+?)(?:\.git)?/?$")


def assets(graph: Graph, root: Path) -> list[AssetsDefinition]:
    """One asset per artefact. Artefacts with shards get one partition per shard."""
    code_url = browse_url(root)
    with without_dagster_warnings():
        return [_asset(artefact, root, code_url) for artefact in graph.artefacts]


def _asset(artefact: Artefact, root: Path, code_url: str | None) -> AssetsDefinition:
    # Equal lists of shards make equal definitions, so Dagster maps the partitions of such artefacts onto each other.
    partitions = StaticPartitionsDefinition(list(artefact.shards)) if artefact.shards else None

    @asset(
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
        check_specs=[_check(artefact, partitions)] if artefact.units[0].gate else None,
    )
    def make(context: AssetExecutionContext, launcher: Launcher) -> Iterator[MaterializeResult[None]]:
        unit = artefact.unit(context.partition_key if partitions else None)
        update = bring_up_to_date(context, launcher, unit)
        yield _result(root, artefact, unit, update)

    return make


def _check(artefact: Artefact, partitions: StaticPartitionsDefinition | None) -> AssetCheckSpec:
    return AssetCheckSpec(
        CHECK,
        asset=artefact.name,
        blocking=True,
        partitions_def=partitions,
        description=f"What must be true of {artefact.name} before anything depends on it (dvc repro {artefact.units[0].gate})",
    )


@dataclass(frozen=True)
class Update:
    """How an artefact was brought up to date. `finished` is None if nothing had to run.

    The stage itself succeeded. `finished` shows whether its gate did.
    """

    finished: Finished | None = None
    last_step: Message = field(default_factory=dict)


def bring_up_to_date(context: AssetExecutionContext, launcher: Launcher, unit: Unit) -> Update:
    """Run the stage of `unit` and then its gate, unless DVC says that neither changed.

    A gate that fails raises nothing here, because its report has the reason. Raises Failure if the stage fails. Also raises
    Failure if a gate in `unit.waits_for` has not passed for the current data: `dvc repro` of one single stage does not
    check that.
    """
    changed = launcher.changed(context, *unit.waits_for, *unit.stages)
    waiting = [gate for gate in unit.waits_for if gate in changed]
    if waiting:
        raise Failure(f"{unit.stage} waits for {', '.join(waiting)}: materialize its asset first", allow_retries=False)
    if not changed:
        context.log.info(f"{' and '.join(unit.stages)} did not change: nothing to do")
        return Update()
    partition = context.partition_key if context.has_partition_key else None
    observer = Observer(context, Path(launcher.root), context.asset_key, partition)
    finished = launcher.repro(context, *unit.stages, on_message=observer)
    if finished.code and (unit.gate is None or finished.failed_at != unit.gate):
        raise failure(finished)
    return Update(finished, observer.last_step)


def _result(root: Path, artefact: Artefact, unit: Unit, update: Update) -> MaterializeResult[None]:
    record = lock.read(root)[unit.stage]
    metadata = {**asset_metadata(root, artefact, unit, record), "ran": update.finished is not None}
    if update.last_step:
        metadata["progress"] = MetadataValue.json(dict(update.last_step))
    return MaterializeResult(
        data_version=DataVersion(record.data_version),
        metadata=metadata,
        check_results=[_check_result(root, unit, record, update)] if unit.gate else None,
    )


def _check_result(root: Path, unit: Unit, record: lock.Record, update: Update) -> AssetCheckResult:
    result = read_check_result(root, unit, record.data_version)
    if result.passed and update.finished and update.finished.code:  # the gate ended before it replaced its old report
        result = outdated(result, f"{unit.gate} did not run: {update.finished.reason}")
    return result


def code_files(artefact: Artefact, root: Path) -> list[str]:
    """The files of the stage and of its gate that exist in the project at `root`."""
    paths = [f"rectok/{folder}/{artefact.name}.py" for folder in ("stages", "gates")]
    return [path for path in paths if (root / path).exists()]


def code_references(artefact: Artefact, root: Path) -> dict[str, CodeReferencesMetadataValue]:
    """Metadata with the files that "Open in editor" opens. Empty if there are none."""
    references = [
        LocalFileCodeReference(file_path=str(root / path), line_number=1, label=path)
        for path in code_files(artefact, root)
    ]
    return {"dagster/code_references": CodeReferencesMetadataValue(code_references=references)} if references else {}


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
