"""A sweep: every combination of a few parameters' values, as an ablation like any other."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rectok.ablation.spec import NAME, Row, Spec, spec_names, validated
from rectok.artifacts import DATA, write_json
from rectok.errors import UserError
from rectok.evaluation.metrics import headline_names

SEED = "seed"
TARGETS = ("reconstruction", "probe", "generation")
"""Stages and not their gates: a sweep is to measure its rows, not to stop them at thresholds."""


def sweep_file(name: str) -> Path:
    """Where the sweep of that name is kept, for `rectok ablate` to go on with."""
    return DATA / "ablations" / f"{name}.yaml"


def make_sweep(name: str, vary: Sequence[str], probe: float, targets: Sequence[str]) -> Path:
    """Write the sweep over all combinations of `vary` (key=value,value,…); `probe` is the t whose accuracy is shown.

    Raises UserError for what is no such setting, or for the name of an ablation that comes with rectok.
    """
    if name in spec_names() or not re.fullmatch(NAME, name):
        raise UserError(
            f"{name!r} cannot name a sweep: small letters, digits, dots and dashes, and no ablation of rectok"
        )
    values = dict(_parsed(setting) for setting in vary)
    spec = sweep(name, values, targets or TARGETS, (*headline_names(), f"probe@{probe}"))
    path = sweep_file(name)
    write_json(path, spec.model_dump(mode="json"))  # JSON is YAML
    return path


def sweep(name: str, values: Mapping[str, Sequence[Any]], targets: Sequence[str], columns: Sequence[str]) -> Spec:
    """A row for every combination of `values`; those of `seed` are seeds of every row."""
    seeds = tuple(values.get(SEED, (0,)))
    varied = {key: found for key, found in values.items() if key != SEED}
    single = len(varied) == 1 and all(isinstance(value, int | float) for found in varied.values() for value in found)
    rows = [
        Row(
            name=_row_name(number, dict(zip(varied, chosen, strict=True))),
            title=", ".join(f"{key} = {value}" for key, value in zip(varied, chosen, strict=True))
            or "as in params.yaml",
            set=dict(zip(varied, chosen, strict=True)),
            x=float(chosen[0]) if single else None,
        )
        for number, chosen in enumerate(product(*varied.values()), 1)
    ]
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


def _row_name(number: int, chosen: Mapping[str, Any]) -> str:
    words = "-".join(f"{key.rpartition('.')[2]}{value}" for key, value in chosen.items())
    kept = re.sub(r"[^a-z0-9.-]+", "", words.lower())
    return f"{number}-{kept}"[:60].rstrip("-.")


def _parsed(setting: str) -> tuple[str, list[Any]]:
    key, equals, text = setting.partition("=")
    try:
        values = YAML(typ="safe", pure=True).load(f"[{text}]")
    except YAMLError:
        values = []
    if not (key and equals and values):
        raise UserError(f"{setting!r} is no setting to vary; write e.g. dit.training.epochs=10,20")
    return key, values
