"""The table of checks and the source of the gates name the same checks."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rectok.artifacts import STAGES
from rectok.checks import drift
from rectok.reporting.check_catalogue import CHECKS, kind_of
from tests.guides.guide import REPOSITORY

BUILDERS = {"at_least", "at_most", "holds", "unlabelled", "fits", "Check", "Expected", "_rows", "_rows_check"}
"""Functions whose first argument is a check's name."""
UNREADABLE = {"readable", "as made"}
"""A gate that cannot judge its artefact makes these; the check of the gate itself shows them."""
SHARED = {
    "networks": ("teacher", "metric_network"),
    "metric_schema": ("reconstruction", "probe", "generation"),
    "training": ("tokenizer", "decoder", "dit", "autoguidance"),
    "generator": ("dit", "autoguidance"),
}
FUNCTIONS = {
    "training_checks": "training",
    "_whole": "training",
    "_learnt": "training",
    "generator_checks": "generator",
}
NETWORK = {"mean", "std", "image_size", "interpolation", "val accuracy", "test accuracy", "weights whole"}
ELSEWHERE = {
    "index": {"unique keys", "unique contents", "images per class", "training images per class", *drift.NAMES},
    **dict.fromkeys(SHARED["networks"], NETWORK),
    "features": {"made from this teacher", "made from this shard"},
    "probe": {"accuracy at t = 0.5"},
    "shards": {"quarantined: not RGB"},
    "generation": {"sample accuracy", "sample accuracy guided"},
}  # fmt: skip
"""Names that loops put together."""


def literals(path: Path) -> Iterator[tuple[str, str]]:
    """Every check whose name is written out in a file, behind the function that makes it."""
    for function in ast.parse(path.read_text(encoding="utf-8")).body:
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in BUILDERS
                and node.args
            ):
                name = node.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield getattr(function, "name", ""), name.value


def yielded() -> dict[str, set[str]]:
    """The names of the checks that each gate makes, from its source."""
    checks, gates = REPOSITORY / "rectok" / "checks", REPOSITORY / "rectok" / "gates"
    names = {stage: {name for _, name in literals(gates / f"{stage}.py")} for stage in STAGES}
    for function, name in literals(checks / "networks.py"):
        for stage in SHARED[FUNCTIONS.get(function, "networks")]:
            names[stage].add(name)
    for _, name in literals(checks / "metric_schema.py"):
        for stage in SHARED["metric_schema"]:
            names[stage].add(name)
    return {stage: (of_gate | ELSEWHERE.get(stage, set())) - UNREADABLE for stage, of_gate in names.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_every_check_of_a_gate_has_an_entry_and_every_entry_a_check(stage: str) -> None:
    names = yielded()[stage]
    kinds = {name: kind_of(stage, name) for name in names}
    assert [name for name, kind in kinds.items() if kind is None] == []
    assert [kind.name for kind in CHECKS[stage] if kind not in kinds.values()] == []


def test_names_stay_apart_as_identifiers() -> None:
    for kinds in CHECKS.values():
        names = [kind.identifier for kind in kinds]
        assert len(set(names)) == len(names) and all(name.isidentifier() for name in names)
    assert kind_of("statistics", "latents' tokenizer") in CHECKS["statistics"]
    assert kind_of("shards", "converted from mode P") is None
