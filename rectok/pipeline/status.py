"""Why stages would run again: parameters, data, code, or a stage before them.

`dvc status` holds the locks of the repository and of files meanwhile, and a `dvc repro` in the same second would fail at them.
This takes none. While a stage runs, it may call that stage changed.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from rectok.pipeline import lock
from rectok.pipeline.code_versions import VERSIONS_FILE, CodeVersions, mismatch, parameter
from rectok.pipeline.graph import Stage, address, named, opened, paths, stages_of, with_needs
from rectok.pipeline.snapshot import remember, remembered

Kind = Literal["new", "always", "command", "parameter", "code", "data", "output", "upstream"]
SPOKEN = 200
"""Stages between two words about progress."""
STATES = {"modified": "changed", "deleted": "is missing", "new": "is new"}
"""DVC's words for a file, and ours."""


@dataclass(frozen=True)
class Reason:
    """Why a stage would run again. `old` and `new` are values of a parameter or a code version."""

    kind: Kind
    sentence: str
    name: str = ""
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Status:
    """The reasons of every stage that would run again, in the pipeline's order."""

    root: Path
    chosen: Mapping[str, Stage]
    stages: Mapping[str, Sequence[Reason]]

    @property
    def due(self) -> dict[str, Stage]:
        """The stages that would run again or might, which wait for nothing but each other."""
        due = {name: self.chosen[name] for name in self.stages}
        return {name: replace(stage, needs=stage.needs & due.keys()) for name, stage in due.items()}

    def only(self, targets: Sequence[str]) -> "Status":
        """The status of `targets` alone, without what they need. Raises UserError where one does not exist."""
        names = {name for target in targets for name in named(self.chosen, target)}
        chosen = {name: stage for name, stage in self.chosen.items() if name in names}
        return replace(self, chosen=chosen, stages={name: each for name, each in self.stages.items() if name in names})

    def warnings(self) -> Iterator[str]:
        """What is wrong with code versions. It reads the code of the package, which takes about a second."""
        if sentence := mismatch(self.root):
            yield sentence
        names = {name for stage in self.chosen.values() for name in stage.params.get(str(VERSIONS_FILE), {})}
        for change in CodeVersions().changes():
            if names & set(map(parameter, change.names)):
                yield change.sentence


def status(root: Path, targets: Sequence[str] = (), progress: Callable[[str], None] = lambda words: None) -> Status:
    """The status of `targets` and all that they need; of all stages where there is none. Raises UserError.

    `progress` gets words about what is done now, which may take a minute where there are thousands of stages.
    """
    if (content := remembered(root)) is None:
        progress("DVC reads the pipeline")
        with opened(root) as repo:
            stages, reasons = _read(repo, root, progress)
    else:
        stages = {name: _stage_of(fields) for name, fields in content["stages"].items()}
        reasons = {name: [Reason(**fields) for fields in each] for name, each in content["reasons"].items()}
    chosen = with_needs(stages, targets) if targets else stages
    reasons = {name: list(reasons.get(name, ())) for name in chosen}
    for name in TopologicalSorter({name: stage.needs for name, stage in chosen.items()}).static_order():
        before = sorted({chosen[needed].noun for needed in chosen[name].needs if reasons[needed]})
        if before and not reasons[name]:
            reasons[name] = [Reason("upstream", f"runs if {', '.join(before)} makes something new")]
    return Status(root, chosen, {name: reasons[name] for name in chosen if reasons[name]})


def _read(repo: Any, root: Path, progress: Callable[[str], None]) -> tuple[dict[str, Stage], dict[str, list[Reason]]]:
    """All stages, and the reasons of their own that some have to run again; kept until a file changes."""
    stages, recorded = stages_of(repo), lock.names(root)
    entries = {address(entry): entry for entry in repo.index.stages}
    reasons = {}
    for number, (name, stage) in enumerate(stages.items()):
        if number % SPOKEN == 0:
            progress(f"comparing files with dvc.lock: {number} of {len(stages)} stages")
        if own := list(_reasons(entries[name], stage, name in recorded)):
            reasons[name] = own
    if all(each.is_in_repo for entry in entries.values() for each in (*entry.deps, *entry.outs)):
        fields = {name: vars(stage) | {"needs": sorted(stage.needs)} for name, stage in stages.items()}
        content = {"stages": fields, "reasons": {name: [*map(vars, each)] for name, each in reasons.items()}}
        remember(root, _watched(stages.values(), entries.values()), content)
    return stages, reasons


def _watched(stages: Iterable[Stage], entries: Iterable[Any]) -> Iterator[str]:
    """Everything from which a status follows, besides the settings of DVC."""
    for stage in stages:
        yield from (*stage.deps, *stage.outs, *stage.params)
        for source in stage.sources:  # which `dvc add` may come to track
            yield from (f"{place}.dvc" for place in (source, *map(str, Path(source).parents)) if place != ".")
    yield from (entry.path_in_repo for entry in entries)


def _stage_of(fields: Mapping[str, Any]) -> Stage:
    lists = {name: tuple(fields[name]) for name in ("deps", "outs", "sources")}
    return Stage(**{**fields, **lists, "needs": frozenset(fields["needs"])})


def _reasons(entry: Any, stage: Stage, recorded: bool) -> Iterator[Reason]:
    """What differs from dvc.lock, in which it is `recorded` or not. `entry` is DVC's own object for the stage."""
    if stage.command and not recorded:
        yield Reason("new", "has not run to its end yet")
        return
    if getattr(entry, "cmd_changed", False):
        yield Reason("command", f"its command is now `{stage.command}`")
    if not entry.frozen:
        if entry.is_callback or entry.always_changed:
            yield Reason("always", "it runs every time")
        for dep in entry.params:
            yield from _parameters(str(dep), dep.hash_info.value or {}, stage.params[str(dep)])
        for path, state in _states(dep for dep in entry.deps if dep not in entry.params):
            yield Reason("data", f"{path} {state}", path)
    for path, state in _states(entry.outs):
        yield Reason("output", f"its output {path} {state}", path)


def _parameters(file: str, recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Reason]:
    code = file == str(VERSIONS_FILE)
    for name, value in now.items():
        old = recorded.get(name)
        if name not in recorded or old != value:
            sentence = f"{'code version' if code else 'parameter'} {name}: {_shown(old)} → {_shown(value)}"
            yield Reason("code" if code else "parameter", sentence, name, old, value)


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _states(entries: Any) -> Iterator[tuple[str, str]]:
    for entry in entries:
        for state in entry.workspace_status().values():
            [path] = paths([entry]) or (str(entry),)
            yield path, STATES.get(state, state)


def main() -> None:
    """Print the stages with reasons of their own, as JSON on the last line."""
    report = status(Path())
    changed = [name for name, reasons in report.stages.items() if reasons[0].kind != "upstream"]
    sys.stdout.write(f"{json.dumps(changed)}\n")


if __name__ == "__main__":
    main()
