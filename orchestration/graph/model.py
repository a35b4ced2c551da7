"""The pipeline as the orchestrator sees it: one artefact per stage noun, with its shards and gates."""

from dataclasses import dataclass

SOURCE = "source"
"""Name of the asset that stands for all paths that stages read and no stage makes."""


@dataclass(frozen=True)
class Unit:
    """One DVC stage and the gate that checks its outputs. `shard` is None if the stage runs once; paths are relative and POSIX.

    The gate writes `report` and, if it passes, `pass_marker`. The stage depends on the pass markers of `waits_for`.
    """

    shard: str | None
    stage: str
    command: str
    outs: tuple[str, ...]
    gate: str | None
    report: str | None
    pass_marker: str | None
    waits_for: tuple[str, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stage and its gate, in the order in which they run."""
        return (self.stage, self.gate) if self.gate else (self.stage,)


@dataclass(frozen=True)
class Artefact:
    """What one noun of dvc.yaml makes: an asset, with partitions if the stage runs once per shard.

    `version` is that of commands and parameters, the same for all shards. No stage makes the paths `sources`.
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
    def inputs(self) -> tuple[str, ...]:
        """Names of the assets that it is made from: its parents, and `SOURCE` if it reads a path from outside."""
        return (*self.parents, SOURCE) if self.sources else self.parents

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of its shards. Empty if it has none."""
        return tuple(unit.shard for unit in self.units if unit.shard is not None)

    def unit(self, shard: str | None) -> Unit:
        """The unit that makes `shard`. Raises KeyError if there is none."""
        for unit in self.units:
            if unit.shard == shard:
                return unit
        raise KeyError(shard)


@dataclass(frozen=True)
class Graph:
    """All artefacts of dvc.yaml. Each comes after its parents."""

    artefacts: tuple[Artefact, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """All paths that stages read and no stage makes."""
        return tuple(sorted({path for artefact in self.artefacts for path in artefact.sources}))
