"""The stages of dvc.yaml and what each of them waits for, as DVC sees them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from rectok.errors import UserError


@dataclass(frozen=True)
class Stage:
    """A stage by DVC's address for it; it waits for `needs`, and shares the pool that its `meta` names, if any."""

    address: str
    needs: frozenset[str]
    pool: str


def read_stages() -> dict[str, Stage]:
    """Every stage of the project in the current folder. Raises UserError with DVC's words where it cannot read them."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            graph = repo.index.graph
            stages = [
                Stage(
                    stage.addressing,
                    frozenset(needed.addressing for needed in graph.successors(stage)),
                    (stage.meta or {}).get("pool", ""),
                )
                for stage in graph
            ]
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from None
    return {stage.address: stage for stage in stages}


def with_needs(stages: Mapping[str, Stage], targets: Iterable[str]) -> dict[str, Stage]:
    """`targets`, a stage or all of a `foreach` each, and what they need; everything where there is no target.

    Raises UserError for a target that is no stage.
    """
    wanted = [address for target in targets for address in _named(stages, target)] or list(stages)
    found: dict[str, Stage] = {}
    while wanted:
        address = wanted.pop()
        if address not in found:
            found[address] = stages[address]
            wanted.extend(stages[address].needs)
    return found


def _named(stages: Mapping[str, Stage], target: str) -> list[str]:
    named = [address for address in stages if address == target or address.startswith(f"{target}@")]
    if not named:
        raise UserError(f"there is no stage {target!r} in dvc.yaml; its stages are {', '.join(sorted(stages))}")
    return named


def depths(stages: Mapping[str, Stage]) -> dict[str, int]:
    """How many stages the longest chain of those that wait for each one has. `stages` hold all that they need."""
    found = dict.fromkeys(stages, 0)
    order = TopologicalSorter({stage.address: stage.needs for stage in stages.values()})  # DVC refuses circles
    for address in reversed(list(order.static_order())):
        for needed in stages[address].needs:
            found[needed] = max(found[needed], found[address] + 1)
    return found
