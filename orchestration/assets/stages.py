"""Turns the graph of dvc.yaml into Dagster's assets and checks."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from orchestration.assets.checks import CHECK, outdated, read_check_result
from orchestration.assets.metadata import asset_metadata
from orchestration.assets.progress import Message, Observer
from orchestration.graph.model import Artefact, Graph, Unit
from orchestration.launcher import Launcher, failure, without_dagster_warnings
from rectok.pipeline import lock
from rectok.pipeline.process import Finished

REMOTE = re.compile(r"(?:https?://(?:[^@/]*@)?|(?:ssh://)?git@)(?P<host>[^/:]+)[/:](?P<name>.+?)(?:\.git)?/?$")


def assets(graph: Graph, root: Path) -> list[dg.AssetsDefinition]:
    """One asset per artefact. Artefacts with shards get one partition per shard."""
    code_url = browse_url(root)
    with without_dagster_warnings():
        return [_asset(artefact, root, code_url) for artefact in graph.artefacts]


def _asset(artefact: Artefact, root: Path, code_url: str | None) -> dg.AssetsDefinition:
    # Equal lists of shards make equal definitions, so Dagster maps the partitions of such artefacts onto each other.
    partitions = dg.StaticPartitionsDefinition(list(artefact.shards)) if artefact.shards else None
    gate = artefact.units[0].gate
    condition = f"What must be true of {artefact.name} before anything depends on it (dvc repro {gate})"
    check = dg.AssetCheckSpec(
        CHECK, asset=artefact.name, blocking=True, partitions_def=partitions, description=condition
    )

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
        check_specs=[check] if gate else None,
    )
    def make(context: dg.AssetExecutionContext, launcher: Launcher) -> Iterator[dg.MaterializeResult[None]]:
        unit = artefact.unit(context.partition_key if partitions else None)
        update = bring_up_to_date(context, launcher, unit)
        yield _result(root, artefact, unit, update)

    return make


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
        sentence = f"{unit.stage} waits for {', '.join(waiting)}: materialize its asset first"
        raise dg.Failure(sentence, allow_retries=False)
    if not changed:
        context.log.info(f"{' and '.join(unit.stages)} did not change: nothing to do")
        return Update()
    partition = context.partition_key if context.has_partition_key else None
    observer = Observer(context, Path(launcher.root), context.asset_key, partition)
    finished = launcher.repro(context, *unit.stages, on_message=observer)
    if finished.code and (unit.gate is None or finished.failed_at != unit.gate):
        raise failure(finished)
    return Update(finished, observer.last_step)


def _result(root: Path, artefact: Artefact, unit: Unit, update: Update) -> dg.MaterializeResult[None]:
    records = lock.read(root)
    record = records[unit.stage]
    metadata = {**asset_metadata(root, artefact, unit, record), "ran": update.finished is not None}
    results = [read_check_result(root, unit, records)] if unit.gate else []
    if results and results[0].passed and update.finished and update.finished.code:
        # The gate ended before it replaced its old report.
        results = [outdated(results[0], f"{unit.gate} did not run: {update.finished.reason}")]
    if update.last_step:
        metadata["progress"] = dg.MetadataValue.json(dict(update.last_step))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(record.data_version),
        metadata=metadata,
        check_results=results,
    )


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
