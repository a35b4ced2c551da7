"""The pipeline as the orchestrator sees it: one artefact per stage noun, with its shards, its gates and what it waits for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """One DVC stage, with the gate that judges what it makes. `shard` is None where the stage runs once.

    Paths are POSIX and relative to the project. `report` and `verdict` are the gate's two files; `waits_for` names the
    gates whose verdicts the stage depends on.
    """

    shard: str | None
    stage: str
    command: str
    outs: tuple[str, ...]
    gate: str | None
    report: str | None
    verdict: str | None
    waits_for: tuple[str, ...]


@dataclass(frozen=True)
class Artefact:
    """What one noun of dvc.yaml makes: an asset, partitioned where the stage runs once per shard."""

    name: str
    description: str
    group: str
    kinds: tuple[str, ...]
    owner: str | None
    pool: str | None
    parents: tuple[str, ...]
    units: tuple[Unit, ...]

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of its shards; empty where it is made whole."""
        return tuple(unit.shard for unit in self.units if unit.shard is not None)

    def unit(self, shard: str | None) -> Unit:
        """The unit that makes `shard`. Raises KeyError where there is none."""
        for unit in self.units:
            if unit.shard == shard:
                return unit
        raise KeyError(shard)


@dataclass(frozen=True)
class Graph:
    """The whole of dvc.yaml."""

    artefacts: tuple[Artefact, ...]
