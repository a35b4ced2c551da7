"""The stages of dvc.yaml and what each of them waits for, as DVC sees them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from rectok.errors import UserError

PIPELINE = "dvc.yaml"


@dataclass(frozen=True)
class Stage:
    """A stage by DVC's address for it; it waits for `needs`, and shares the pool that its `meta` names, if any."""

    address: str
    needs: frozenset[str]
    pool: str


def read_stages() -> dict[str, Stage]:
    """The stages of ./dvc.yaml, and whatever else they need. Raises UserError with DVC's words where it cannot read them."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            graph = repo.index.graph
            found = {stage.addressing: _read(stage, graph.successors(stage)) for stage in graph}
            named = [stage.addressing for stage in graph if stage.path_in_repo == PIPELINE]
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from None
    if not named:
        raise UserError(f"there is no stage in {PIPELINE}; run this in the folder that holds the pipeline")
    return with_needs(found, named)


def _read(stage: Any, needed: Iterable[Any]) -> Stage:
    """A frozen stage waits for nothing, as `dvc repro` has it."""
    meta = stage.meta if isinstance(stage.meta, Mapping) else {}
    return Stage(
        stage.addressing,
        frozenset() if stage.frozen else frozenset(other.addressing for other in needed),
        str(meta.get("pool", "")),
    )


def with_needs(stages: Mapping[str, Stage], targets: Iterable[str]) -> dict[str, Stage]:
    """`targets`, a stage or all of a `foreach` each, and what they need, in the order of `stages`; all where there is no target.

    Raises UserError for a target that is no stage.
    """
    wanted = [address for target in targets for address in _named(stages, target)] or list(stages)
    found: set[str] = set()
    while wanted:
        address = wanted.pop()
        if address not in found:
            found.add(address)
            wanted.extend(stages[address].needs)
    return {address: stage for address, stage in stages.items() if address in found}


def _named(stages: Mapping[str, Stage], target: str) -> list[str]:
    named = [address for address in stages if address == target or address.startswith(f"{target}@")]
    if not named:
        names = sorted({address.partition("@")[0] for address in stages})
        raise UserError(f"there is no stage {target!r} in {PIPELINE}; its stages are {', '.join(names)}")
    return named


def depths(stages: Mapping[str, Stage]) -> dict[str, int]:
    """For every stage the length of the longest chain of stages that wait for it. `stages` hold all that they need."""
    return _chain_lengths(_dependents(stages))


def longest_chain(stages: Mapping[str, Stage]) -> frozenset[str]:
    """The stages of the longest chain, of all such chains where several are as long; `stages` hold all that they need."""
    behind = depths(stages)
    before = _chain_lengths({address: stage.needs for address, stage in stages.items()})
    longest = max(behind.values(), default=0)
    return frozenset(address for address in stages if before[address] + behind[address] == longest)


def _dependents(stages: Mapping[str, Stage]) -> dict[str, set[str]]:
    dependents: dict[str, set[str]] = {address: set() for address in stages}
    for stage in stages.values():
        for needed in stage.needs:
            dependents[needed].add(stage.address)
    return dependents


def _chain_lengths(edges: Mapping[str, Collection[str]]) -> dict[str, int]:
    """For every node the number of edges of the longest path from it. DVC refuses circles."""
    lengths: dict[str, int] = {}
    for node in TopologicalSorter(edges).static_order():
        lengths[node] = max((lengths[after] + 1 for after in edges[node]), default=0)
    return lengths


def all_needs(stages: Mapping[str, Stage]) -> dict[str, frozenset[str]]:
    """For every stage all that it waits for, directly or through others; `stages` hold all that they need."""
    found: dict[str, frozenset[str]] = {}
    for address in TopologicalSorter({stage.address: stage.needs for stage in stages.values()}).static_order():
        needs = stages[address].needs
        found[address] = needs.union(*(found[needed] for needed in needs))
    return found
