"""The graph of dvc.yaml, read through DVC itself: templates, foreach and interpolation mean what `dvc repro` takes them for."""

import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from rectok.errors import UserError
from rectok.pipeline.lock import DAMAGED, LOCK_FILE

PIPELINE = "dvc.yaml"


@dataclass(frozen=True)
class Stage:
    """A stage by DVC's address for it, such as `shards@00000`.

    It waits for the stages `needs`, and shares the pool that its `meta` names, if any. Paths are relative to the project.
    `sources` are the dependencies that no stage makes. `params` holds today's values of its parameters, by file and dotted name.
    A file that `dvc add` tracks is a stage without a command.
    """

    address: str
    needs: frozenset[str]
    pool: str = ""
    description: str = ""
    command: str = ""
    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """Its name without the item of its foreach."""
        return self.address.partition("@")[0]

    @property
    def item(self) -> str | None:
        """The item of its foreach."""
        return self.address.partition("@")[2] or None


def read_stages(root: Path = Path()) -> dict[str, Stage]:
    """The stages of dvc.yaml in `root`, and whatever else they need. Raises UserError with DVC's words."""
    with opened(root) as repo:
        return stages_of(repo)


@dataclass(frozen=True)
class Cache:
    """Where DVC keeps files by their md5, and results by what they were made of (the run cache); names of its remotes."""

    files: Path
    runs: Path
    remotes: tuple[str, ...] = ()


def read_cache(root: Path = Path()) -> Cache:
    """The cache of the project at `root`, which `cache.dir` may have moved. Raises UserError with DVC's words."""
    with opened(root) as repo:
        here = Path(root).resolve()
        files, runs = (Path(place) for place in (repo.cache.local.path, repo.stage_cache.cache_dir))
        below = files.is_relative_to(here) and runs.is_relative_to(here)
        files, runs = (root / place.relative_to(here) if below else place for place in (files, runs))
        return Cache(files, runs, tuple(sorted(repo.config["remote"])))


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """DVC's view of the project at `root`, which takes no lock, and waits where it shall. Raises UserError with DVC's words."""
    # DVC takes a second to import, and few commands need it.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # DVC's, about a library of its own
            with Repo(str(root), _wait_for_lock=True) as repo:
                yield repo
    except DvcException as error:
        causes = _causes(error)
        raise UserError(DAMAGED if LOCK_FILE.name in causes else f"DVC cannot read the pipeline: {causes}") from None
    except NotImplementedError:  # the name of a hash is cut off
        raise UserError(DAMAGED) from None
    except ValueError as error:  # as a number of too many digits
        raise UserError(f"DVC cannot read the pipeline: {error}") from None
    except RecursionError:
        raise UserError(f"DVC cannot read the pipeline: {PIPELINE} or a file that it names nests too deep") from None


def stages_of(repo: Any) -> dict[str, Stage]:
    """The same of an opened project."""
    len(repo.index.outs_trie)  # to build it finds outputs that overlap
    producers, values = _Producers(repo.index.stages), _ParameterValues()
    stages = {address(stage): _read(stage, producers, values) for stage in repo.index.stages}
    ours = [stage.name for stage in repo.index.stages if stage.path_in_repo == PIPELINE]
    if not ours:
        raise UserError(f"there is no stage in {PIPELINE}; run this in the folder that holds the pipeline")
    try:
        TopologicalSorter({name: stage.needs for name, stage in stages.items()}).prepare()
    except CycleError as error:
        raise UserError(f"stages of {PIPELINE} wait for each other: {' → '.join(error.args[1])}") from None
    return with_needs(stages, ours) if len(ours) < len(stages) else stages


def some_entries(repo: Any, names: Iterable[str], records: Mapping[str, Any]) -> dict[str, Any] | None:
    """DVC's objects of a few stages of dvc.yaml, `records` being their entries of dvc.lock; None where one is not of dvc.yaml."""
    from dvc.dvcfile import load_file
    from dvc.stage.exceptions import StageNotFound
    from dvc.stage.loader import StageLoader

    file = load_file(repo, str(Path(repo.root_dir, PIPELINE)))
    stages = StageLoader(file, file.contents, {"stages": records})
    try:
        return {name: stages[name] for name in names}
    except StageNotFound:
        return None


def address(stage: Any) -> str:
    """DVC's name for one of its stages, in the folder of the project."""
    return str(stage.name if stage.path_in_repo == PIPELINE else stage.addressing)


def _read(stage: Any, producers: "_Producers", values: "_ParameterValues") -> Stage:
    """A frozen stage waits for nothing, as `dvc repro` has it."""
    # To DVC parameters are dependencies too.
    deps = paths(dep for dep in stage.deps if dep not in stage.params)
    makers = {dep: producers.of(dep) for dep in deps}
    needed = {address(maker) for group in makers.values() for maker in group} - {address(stage)}
    meta = stage.meta if isinstance(stage.meta, Mapping) else {}
    return Stage(
        address(stage),
        needs=frozenset() if stage.frozen else frozenset(needed),
        pool=str(meta.get("pool", "")),
        description=stage.desc or "",
        command=stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd or ()),
        deps=deps,
        outs=paths(stage.outs),
        sources=tuple(dep for dep in deps if not any(maker.cmd for maker in makers[dep])),
        params={str(dep): values.of(dep) for dep in stage.params},
        meta=meta,
    )


def paths(entries: Iterable[Any]) -> tuple[str, ...]:
    """DVC's dependencies or outputs that lie in the project, as paths relative to it."""
    inside = [entry for entry in entries if entry.is_in_repo]
    return tuple(Path(entry.fs_path).relative_to(entry.repo.root_dir).as_posix() for entry in inside)


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


class _ParameterValues:
    """Values of parameters. DVC reads the whole file for each stage, which takes it a minute where there are 256 shards."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}

    def of(self, dep: Any) -> dict[str, Any]:
        """The values of the parameters `dep` of a stage, by dotted name; those of the whole file where it names none."""
        tree = self._file(dep) or {}
        return {name: value_at(tree, name) for name in dep.params} if dep.params else tree

    def _file(self, dep: Any) -> Any:
        from dvc.utils.serialize import load_path

        path = str(dep)
        if path not in self.files:
            self.files[path] = load_path(dep.fs_path, dep.fs) if dep.exists else None
        return self.files[path]


def value_at(tree: Any, name: str) -> Any:
    """The value of the dotted `name` in a tree of parameters; None where there is none."""
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


class _Producers:
    """Which of DVC's stages make a path, anything above it, or anything below it. DVC's own graph takes six times as long."""

    def __init__(self, stages: Iterable[Any]) -> None:
        self.at: dict[str, Any] = {}
        self.below: dict[str, list[Any]] = defaultdict(list)
        for stage in stages:
            for out in paths(stage.outs):
                self.at[out] = stage
                for above in _above(out):
                    self.below[above].append(stage)

    def of(self, path: str) -> list[Any]:
        """The stages whose outputs overlap `path`."""
        return [*(self.at[p] for p in (path, *_above(path)) if p in self.at), *self.below.get(path, [])]


def _above(path: str) -> list[str]:
    """The folders above a relative POSIX path, without the project itself. pathlib takes seconds for 256 shards."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def with_needs(stages: Mapping[str, Stage], targets: Iterable[str]) -> dict[str, Stage]:
    """`targets` (stages, or nouns of a foreach; none: all) and what they need, in order. Raises UserError for others."""
    queue = [address for target in targets for address in named(stages, target)] or list(stages)
    chosen: set[str] = set()
    while queue:
        address = queue.pop()
        if address not in chosen:
            chosen.add(address)
            queue.extend(stages[address].needs)
    return {address: stage for address, stage in stages.items() if address in chosen}


def named(stages: Mapping[str, Stage], target: str) -> list[str]:
    """Stages by address or noun. Raises UserError where there is none."""
    addresses = [target] if target in stages else [address for address in stages if address.startswith(f"{target}@")]
    if not addresses:
        names = sorted({address.partition("@")[0] for address in stages})
        raise UserError(f"there is no stage {target!r} in {PIPELINE}; its stages are {', '.join(names)}")
    return addresses


def depths(stages: Mapping[str, Stage]) -> dict[str, int]:
    """For every stage the length of the longest chain of stages that wait for it. `stages` hold all that they need."""
    dependents: dict[str, set[str]] = {address: set() for address in stages}
    for stage in stages.values():
        for needed in stage.needs:
            dependents[needed].add(stage.address)
    return _chain_lengths(dependents)


def longest_chain(stages: Mapping[str, Stage]) -> frozenset[str]:
    """The stages of the longest chain, of all such chains where several are as long; `stages` hold all that they need."""
    behind = depths(stages)
    before = _chain_lengths({address: stage.needs for address, stage in stages.items()})
    longest = max(behind.values(), default=0)
    return frozenset(address for address in stages if before[address] + behind[address] == longest)


def _chain_lengths(edges: Mapping[str, Collection[str]]) -> dict[str, int]:
    """For every node the number of edges of the longest path from it. DVC refuses circles."""
    lengths: dict[str, int] = {}
    for node in TopologicalSorter(edges).static_order():
        lengths[node] = max((lengths[after] + 1 for after in edges[node]), default=0)
    return lengths
