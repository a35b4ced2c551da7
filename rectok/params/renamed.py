"""Names that an earlier version had, what they are called now, and names that it had not."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from rectok.artifacts import BASELINE, DATA, TRAININGS
from rectok.errors import UserError

NETWORKS = {"judge": "metric_network", "guide": "autoguidance"}
PARAMETERS = {
    **NETWORKS,
    **{f"gates.{old}": f"gates.{new}" for old, new in NETWORKS.items()},
    "nightly.noise.nights": "nightly.noise.runs",
    "nightly.keep.nights": "nightly.keep.runs",
}
NEW = (
    *("tracking", "machine.timeout", "machine.executor", "machine.slurm", "machine.kubernetes"),
    *("index.image", "image.orientation", "image.profile", "image.background", "image.frames"),
    *(f"{stage}.training.min_steps" for stage in ("teacher", "metric_network", *TRAININGS)),
    *(f"{stage}.training.{name}" for stage in TRAININGS for name in ("rollback", "muon")),
    *("tokenizer.kind", "tokenizer.rae", "tokenizer.published"),
    *("dit.prediction", "dit.internal", "dit.alignment", "dit.posthoc_ema", "dit.evaluate_every", "dit.evaluation"),
    *("generation.labels", "generation.sampler.encoder_every", "generation.sampler.fp8", "generation.spaces"),
)
"""What an earlier version had no parameter for."""
COMMANDS = (
    (r"^(gate |repro )?(gate@)?judge\b", r"\1\2metric_network"),
    (r"^(gate |repro )?(gate@)?guide\b", r"\1\2autoguidance"),
    (r"( --kind[ =])guide\b", r"\1autoguidance"),
    (r" --guide\b", " --autoguidance"),
    (r"^accept\b", "baseline"),
)
"""What stood on a command line behind `rectok`, and what stands there now."""


def renamed_parameter(name: str) -> str:
    """The name that an old parameter `name` has now, or nothing."""
    for old, new in PARAMETERS.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return ""


def renamed_command(arguments: Sequence[str]) -> str:
    """The command line to type instead of `rectok <arguments>`, or nothing where it has no old name."""
    line = new = shlex.join(arguments)
    for old, replacement in COMMANDS:
        new = re.sub(old, replacement, new)
    return f"rectok {new}" if new != line else ""


def migrated(text: str, tree: Any) -> tuple[str, dict[str, str]]:
    """`text`, which was read as `tree`, with the new names in it, and the old and new names that it took.

    Nothing but the names changes. Raises UserError where a section has both names.
    """
    places: dict[tuple[int, int], tuple[str, str]] = {}
    for old, new in PARAMETERS.items():
        *path, key = old.split(".")
        section = _section(tree, path)
        if section is None or key not in section:
            continue
        if new.rpartition(".")[2] in section:
            raise UserError(f"the file has both {old} and {new}, which is its new name; remove {old}")
        places[section.lc.key(key)] = old, new
    lines = text.splitlines(keepends=True)
    for (row, column), names in sorted(places.items(), reverse=True):
        before, after = (name.rpartition(".")[2] for name in names)
        lines[row] = lines[row][:column] + lines[row][column:].replace(before, after, 1)
    return "".join(lines), dict(places.values())


def old_folders() -> Iterator[str]:
    """What to do about each folder below data/ that has an old name."""
    for old, new in NETWORKS.items():
        if (DATA / old).exists():
            yield f"{DATA / old} is of no more use, for `dvc repro` makes {DATA / new}; remove it"
    if (DATA / "accepted" / "index.json").exists():
        yield f"the baseline of the index moves: git mv {DATA / 'accepted' / 'index.json'} {BASELINE}/"
    if any((DATA / "promoted" / "generators").glob("*/guide")):
        yield "the promoted generator has parts of old names: once `dvc repro` is through, run `rectok promote` again"


def _section(tree: Any, path: Sequence[str]) -> Any:
    for step in path:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else None
