"""Why stages would run again: parameters, data, code, or a stage before them.

`dvc status` holds the locks of the repository and of files meanwhile, and a `dvc repro` in the same second would fail at them.
This takes none. While a stage runs, it may call that stage changed.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path

from rectok.pipeline.code_versions import VERSIONS_FILE, CodeVersions, mismatch, parameter
from rectok.pipeline.comparison import compare
from rectok.pipeline.graph import Stage, named, with_needs
from rectok.pipeline.reasons import Reason


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
    now = compare(root, progress)
    chosen = with_needs(now.stages, targets) if targets else now.stages
    reasons = {name: list(now.reasons.get(name, ())) for name in chosen}
    for name in TopologicalSorter({name: stage.needs for name, stage in chosen.items()}).static_order():
        before = sorted({chosen[needed].noun for needed in chosen[name].needs if reasons[needed]})
        if before and not reasons[name]:
            reasons[name] = [Reason("upstream", f"runs if {', '.join(before)} makes something new")]
    return Status(root, chosen, {name: reasons[name] for name in chosen if reasons[name]})


def main() -> None:
    """Print the stages with reasons of their own, as JSON on the last line."""
    report = status(Path())
    changed = [name for name, reasons in report.stages.items() if reasons[0].kind != "upstream"]
    sys.stdout.write(f"{json.dumps(changed)}\n")


if __name__ == "__main__":
    main()
