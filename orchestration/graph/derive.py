"""Reads the graph through DVC itself, so that templates, foreach and interpolation mean what `dvc repro` takes them for."""

import hashlib
import json
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestration.graph.model import Artefact, Graph, Unit
from rectok.artifacts import check_file, passed_file
from rectok.errors import UserError
from rectok.files import write_bytes

FORMAT = "2"
"""Changes with the shape of Graph, so that an older cache is not read."""
KEPT = Path(".dvc/tmp/orchestration/graph.json")
SOURCES = ("dvc.yaml", "params.yaml")

_ADAPTER = TypeAdapter(Graph)


@dataclass(frozen=True)
class _Stage:
    """A resolved stage of dvc.yaml: its noun, the item of its foreach, and its paths relative to the project.

    `sources` are its other dependencies on files; `params` the values of its parameters, by file and dotted name.
    """

    address: str
    noun: str
    item: str | None
    description: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> tuple[str, str | None] | None:
        """The artefact and shard that this stage is the gate of, known by the verdict that it leaves."""
        for out in self.outs:
            parts = PurePosixPath(out).parts
            for shard in (None, parts[-1]):
                if shard is None and parts == passed_file(parts[-1]).parts:
                    return parts[-1], None
                if shard is not None and len(parts) > 1 and parts == passed_file(parts[-2], shard).parts:
                    return parts[-2], shard
        return None


def load(root: Path) -> Graph:
    """The graph of the project at `root`, from the cache while dvc.yaml and params.yaml are as they were.

    Raises UserError with one sentence when DVC cannot read them.
    """
    key = _key(root)
    kept = root / KEPT
    try:
        saved = kept.read_bytes()
        if saved.startswith(key):
            return _ADAPTER.validate_json(saved[len(key) :])
    except (FileNotFoundError, ValidationError):
        pass
    graph = derive(_stages(root))
    write_bytes(kept, key + _ADAPTER.dump_json(graph, indent=1))
    return graph


def _key(root: Path) -> bytes:
    digest = hashlib.sha256(FORMAT.encode())
    for name in SOURCES:
        try:
            digest.update(b"\0" + (root / name).read_bytes())
        except FileNotFoundError:
            raise UserError(f"{root / name} does not exist; run dagster in the folder of the project") from None
    return f"{digest.hexdigest()}\n".encode()


def _stages(root: Path) -> list[_Stage]:
    # DVC takes a second to import, and the cache usually makes it unnecessary.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with warnings.catch_warnings(), Repo(str(root)) as repo:
            # DVC's, about a library of its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            values = _Values()
            stages = [_stage(stage, root, values) for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
            len(repo.index.outs_trie)  # to build it finds outputs that overlap
            return stages
    except DvcException as error:
        raise UserError(f"DVC cannot read the pipeline: {_causes(error)}") from None


def _causes(error: BaseException) -> str:
    """The message of an error and of those behind it, on one line."""
    messages: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = " ".join(str(cause).split())
        if text and text not in " ".join(messages):
            messages.append(text)
        cause = cause.__cause__
    return "; ".join(messages)


class _Values:
    """Values of parameters. DVC reads the whole file for each stage, which takes it a minute where there are 256 shards."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}

    def of(self, stage: Any) -> dict[str, Any]:
        """The values that `stage` depends on, by file and dotted name."""
        return {
            str(dep): {name: self._value(dep, name) for name in dep.params} if dep.params else self._file(dep)
            for dep in stage.params
        }

    def _value(self, dep: Any, name: str) -> Any:
        value = self._file(dep)
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _file(self, dep: Any) -> Any:
        from dvc.utils.serialize import load_path

        path = str(dep)
        if path not in self.files:
            self.files[path] = load_path(dep.fs_path, dep.fs) if dep.exists else None
        return self.files[path]


def _stage(stage: Any, root: Path, values: _Values) -> _Stage:
    noun, _, item = stage.name.partition("@")
    command = stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd)
    return _Stage(
        address=stage.name,
        noun=noun,
        item=item or None,
        description=stage.desc or "",
        command=command,
        # To DVC its parameters are dependencies too.
        deps=tuple(_relative(dep, root) for dep in stage.deps if dep.is_in_repo and dep not in stage.params),
        outs=tuple(_relative(out, root) for out in stage.outs if out.is_in_repo),
        params=values.of(stage),
        meta=stage.meta or {},
    )


def _relative(entry: Any, root: Path) -> str:
    return Path(entry.fs_path).relative_to(root).as_posix()


class _Producers:
    """Which stages make a path, anything above it, or anything below it."""

    def __init__(self, stages: Iterable[_Stage]) -> None:
        self.at: dict[str, _Stage] = {}
        self.below: dict[str, list[_Stage]] = defaultdict(list)
        for stage in stages:
            for out in stage.outs:
                self.at[out] = stage
                for above in _above(out):
                    self.below[above].append(stage)

    def of(self, path: str) -> list[_Stage]:
        """The stages whose outputs overlap `path`."""
        return [*(self.at[p] for p in (path, *_above(path)) if p in self.at), *self.below.get(path, [])]


def _above(path: str) -> list[str]:
    """The folders above a relative POSIX path, without the project itself. pathlib takes seconds for 256 shards."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def derive(stages: list[_Stage]) -> Graph:
    """One artefact per noun that is no gate. Raises UserError where a gate judges nothing that a stage makes."""
    gates = {judged: stage for stage in stages if (judged := stage.judged)}
    makers: dict[str, list[_Stage]] = defaultdict(list)
    for stage in stages:
        if not stage.judged:
            makers[stage.noun].append(stage)
    for (name, shard), gate in gates.items():
        if shard not in [maker.item for maker in makers.get(name, [])]:
            raise UserError(
                f"stage {gate.address} of dvc.yaml is the gate of {name}, but no stage of that name makes it"
            )
    producers = _Producers(stages)
    artefacts = {asset_name(noun): _artefact(noun, group, gates, producers) for noun, group in makers.items()}
    try:
        order = list(TopologicalSorter({name: found.parents for name, found in artefacts.items()}).static_order())
    except CycleError as error:
        raise UserError(f"stages of dvc.yaml wait for each other: {' → '.join(error.args[1])}") from None
    return Graph(tuple(artefacts[name] for name in order))


def _artefact(
    noun: str, group: list[_Stage], gates: dict[tuple[str, str | None], _Stage], producers: _Producers
) -> Artefact:
    first, gate = group[0], gates.get((noun, group[0].item))
    upstream = {s.judged[0] if s.judged else s.noun for stage in group for dep in stage.deps for s in producers.of(dep)}
    return Artefact(
        name=asset_name(noun),
        description=first.description,
        group=asset_name(first.meta.get("group", "default")),
        kinds=tuple(first.meta.get("kinds", ())),
        tags=tuple(first.meta.get("tags", ())),
        owner=first.meta.get("owner"),
        version=_version(first, *([gate] if gate else [])),
        sources=tuple(sorted({dep for stage in group for dep in stage.deps if not producers.of(dep)})),
        pool=first.meta.get("pool"),
        parents=tuple(sorted(asset_name(name) for name in upstream - {noun})),
        units=tuple(_unit(stage, gates.get((noun, stage.item)), producers) for stage in group),
    )


def _version(*stages: _Stage) -> str:
    """Changes when `dvc status` finds a command or a parameter of `stages` changed; the shard's name stands for no change."""
    parts = [[stage.command.replace(stage.item or "\0", "\0"), stage.params] for stage in stages]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _unit(stage: _Stage, gate: _Stage | None, producers: _Producers) -> Unit:
    gates = {s.address for dep in stage.deps for s in producers.of(dep) if s.judged}
    return Unit(
        shard=stage.item,
        stage=stage.address,
        command=stage.command,
        outs=stage.outs,
        gate=gate.address if gate else None,
        report=check_file(stage.noun, stage.item).as_posix() if gate else None,
        verdict=passed_file(stage.noun, stage.item).as_posix() if gate else None,
        waits_for=tuple(sorted(gates)),
    )


def asset_name(noun: str) -> str:
    """Dagster's names take no hyphens."""
    return noun.replace("-", "_")
