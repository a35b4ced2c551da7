"""A sweep: every combination of a few parameters' values, as an ablation like any other."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from rectok.ablation.spec import NAME, Row, Spec, spec_names, validated
from rectok.artifacts import DATA, write_json
from rectok.errors import UserError
from rectok.evaluation.metrics import headline_names
from rectok.yaml_text import UNREADABLE, load_yaml

SEED = "seed"
TARGETS = ("reconstruction", "probe", "generation")
"""Stages and not their gates: a sweep is to measure its rows, not to stop them at thresholds."""


def sweep_file(name: str) -> Path:
    """Where the sweep of that name is kept, for `rectok ablate` to go on with."""
    return DATA / "ablations" / f"{name}.yaml"


def read_sweep(name: str, vary: Sequence[str], probe: float, targets: Sequence[str]) -> Spec:
    """The sweep over `vary` (key=value,value,…) with the probe at t = `probe`. Raises UserError for what is none."""
    if name in spec_names() or not re.fullmatch(NAME, name):
        raise UserError(
            f"{name!r} cannot name a sweep: small letters, digits, dots and dashes, and no ablation of rectok"
        )
    values = dict(_parsed(setting) for setting in vary)
    return sweep(name, values, targets or TARGETS, (*headline_names(), f"probe@{probe}"))


def write_sweep(name: str, spec: Spec) -> None:
    """Keep `spec` where `sweep_file` says."""
    write_json(sweep_file(name), spec.model_dump(mode="json"))  # JSON is YAML


def sweep(name: str, values: Mapping[str, Sequence[Any]], targets: Sequence[str], columns: Sequence[str]) -> Spec:
    """A row for every combination of `values`; those of `seed` are seeds of every row."""
    seeds = tuple(values.get(SEED, (0,)))
    varied = {key: options for key, options in values.items() if key != SEED}
    single = len(varied) == 1 and all(isinstance(value, int | float) for value in next(iter(varied.values())))
    rows = []
    for number, combination in enumerate(product(*varied.values()), 1):
        changes = dict(zip(varied, combination, strict=True))
        title = ", ".join(f"{key} = {value}" for key, value in changes.items()) or "as in params.yaml"
        place = float(combination[0]) if single else None
        rows.append(Row(name=_row_name(number, changes), title=title, set=changes, x=place))
    tree = {
        "title": f"Sweep {name}",
        "claim": f"Every combination of {', '.join(values)}; the rest as in params.yaml.",
        "shared": (),
        "targets": tuple(targets),
        "seeds": seeds,
        "set": {},
        "columns": tuple(columns),
        "axis": next(iter(varied)) if single else "",
        "rows": tuple(rows),
    }
    return validated(tree, name)


def _row_name(number: int, changes: Mapping[str, Any]) -> str:
    words = "-".join(f"{key.rpartition('.')[2]}{value}" for key, value in changes.items())
    allowed = re.sub(r"[^a-z0-9.-]+", "", words.lower())
    return f"{number}-{allowed}"[:60].rstrip("-.")


def _parsed(setting: str) -> tuple[str, list[Any]]:
    key, equals, text = setting.partition("=")
    try:
        values = load_yaml(f"[{text}]")
    except UNREADABLE:
        values = []
    if not (key and equals and values):
        raise UserError(f"{setting!r} is no setting to vary; write e.g. dit.training.epochs=10,20")
    return key, values
