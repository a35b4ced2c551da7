"""Turns the stages of dvc.yaml into artefacts with their gates."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from orchestration.graph.model import Artefact, Graph, Unit
from rectok.artifacts import check_file, passed_file
from rectok.errors import UserError
from rectok.files import write_bytes
from rectok.pipeline.code_versions import VERSIONS_FILE
from rectok.pipeline.graph import Stage, read_stages

FORMAT = "3"
"""Changes with the shape of Graph, so that an older cache is not read."""
CACHE = Path(".dvc/tmp/orchestration/graph.json")
SOURCES = ("dvc.yaml", "params.yaml")

_ADAPTER = TypeAdapter(Graph)
_GateTarget = tuple[str, str | None]
"""An artefact, and its shard."""


def load(root: Path) -> Graph:
    """The graph of the project at `root`, from the cache while dvc.yaml, params.yaml and versions.yaml are as they were.

    Raises UserError with one sentence when DVC cannot read them.
    """
    key = _key(root)
    cache = root / CACHE
    try:
        saved = cache.read_bytes()
        if saved.startswith(key):
            return _ADAPTER.validate_json(saved[len(key) :])
    except (FileNotFoundError, ValidationError):
        pass
    graph = derive([stage for stage in read_stages(root).values() if stage.command])
    write_bytes(cache, key + _ADAPTER.dump_json(graph, indent=1))
    return graph


def _key(root: Path) -> bytes:
    digest = hashlib.sha256(FORMAT.encode())
    for name in SOURCES:
        try:
            digest.update(b"\0" + (root / name).read_bytes())
        except FileNotFoundError:
            raise UserError(f"{root / name} does not exist; run dagster in the folder of the project") from None
    versions = root / VERSIONS_FILE
    digest.update(b"\0" + (versions.read_bytes() if versions.exists() else b""))
    return f"{digest.hexdigest()}\n".encode()


def _gate_target(stage: Stage) -> _GateTarget | None:
    """The artefact and shard that `stage` is the gate of, known by the pass marker that it leaves."""
    for out in stage.outs:
        parts = PurePosixPath(out).parts
        if parts == passed_file(parts[-1]).parts:
            return parts[-1], None
        if len(parts) > 1 and parts == passed_file(parts[-2], parts[-1]).parts:
            return parts[-2], parts[-1]
    return None


def derive(stages: Collection[Stage]) -> Graph:
    """One artefact per noun that is no gate. Raises UserError where a gate checks nothing that a stage makes."""
    targets = {stage.address: target for stage in stages if (target := _gate_target(stage))}
    gates = {targets[stage.address]: stage for stage in stages if stage.address in targets}
    makers: dict[str, list[Stage]] = defaultdict(list)
    for stage in stages:
        if stage.address not in targets:
            makers[stage.noun].append(stage)
    for (name, shard), gate in gates.items():
        if shard not in [maker.item for maker in makers.get(name, [])]:
            raise UserError(
                f"stage {gate.address} of dvc.yaml is the gate of {name}, but no stage of that name makes it"
            )
    nouns = {stage.address: targets.get(stage.address, (stage.noun, None))[0] for stage in stages}
    artefacts = {asset_name(noun): _artefact(noun, group, gates, nouns) for noun, group in makers.items()}
    try:
        order = list(TopologicalSorter({name: each.parents for name, each in artefacts.items()}).static_order())
    except CycleError as error:
        raise UserError(f"stages of dvc.yaml wait for each other: {' → '.join(error.args[1])}") from None
    return Graph(tuple(artefacts[name] for name in order))


def _artefact(noun: str, group: list[Stage], gates: Mapping[_GateTarget, Stage], nouns: Mapping[str, str]) -> Artefact:
    """`nouns` gives for every stage the artefact that it makes or checks."""
    first, gate = group[0], gates.get((noun, group[0].item))
    upstream = {nouns[needed] for stage in group for needed in stage.needs if needed in nouns}
    waits_for = {gate.address for gate in gates.values()}
    return Artefact(
        name=asset_name(noun),
        description=first.description,
        group=asset_name(first.meta.get("group", "default")),
        kinds=tuple(first.meta.get("kinds", ())),
        tags=tuple(first.meta.get("tags", ())),
        owner=first.meta.get("owner"),
        version=_version(first, *([gate] if gate else [])),
        sources=tuple(sorted({path for stage in group for path in stage.sources})),
        pool=first.pool or None,
        parents=tuple(sorted(asset_name(name) for name in upstream - {noun})),
        units=tuple(_unit(stage, gates.get((noun, stage.item)), waits_for) for stage in group),
    )


def _version(*stages: Stage) -> str:
    """The code versions of `stages`, and a hash of their commands and parameters, without the shard's name."""
    parts = [[stage.command.replace(stage.item or "\0", "\0"), stage.params] for stage in stages]
    text = json.dumps(parts, sort_keys=True, default=str)
    codes = [str(code) for stage in stages for code in stage.params.get(str(VERSIONS_FILE), {}).values()]
    return "-".join([*codes, hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()])


def _unit(stage: Stage, gate: Stage | None, gates: Collection[str]) -> Unit:
    return Unit(
        shard=stage.item,
        stage=stage.address,
        command=stage.command,
        outs=stage.outs,
        gate=gate.address if gate else None,
        report=check_file(stage.noun, stage.item).as_posix() if gate else None,
        pass_marker=passed_file(stage.noun, stage.item).as_posix() if gate else None,
        waits_for=tuple(sorted(stage.needs & set(gates))),
    )


def asset_name(noun: str) -> str:
    """Dagster's names take no hyphens."""
    return noun.replace("-", "_")
