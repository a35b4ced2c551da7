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

    @property
    def stages(self) -> tuple[str, ...]:
        """The stage and its gate, in the order in which they run."""
        return (self.stage, self.gate) if self.gate else (self.stage,)


@dataclass(frozen=True)
class Artefact:
    """What one noun of dvc.yaml makes: an asset, partitioned where the stage runs once per shard.

    `version` changes with the commands and the parameters of the stage and of its gate, the same for all shards.
    `sources` are paths that the stage reads and no stage makes.
    """

    name: str
    description: str
    group: str
    kinds: tuple[str, ...]
    tags: tuple[str, ...]
    owner: str | None
    version: str
    sources: tuple[str, ...]
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
    """The whole of dvc.yaml, every artefact after its parents."""

    artefacts: tuple[Artefact, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """All paths that stages read and no stage makes."""
        return tuple(sorted({path for artefact in self.artefacts for path in artefact.sources}))
