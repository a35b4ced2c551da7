"""Every parameter with twenty values that it may never have had: valid, or one sentence that names a key."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from rectok.errors import UserError
from rectok.params import parse
from rectok.params.loading import field_names, validated
from rectok.params.schema import Params
from tests.cli.project import refused
from tests.project import overridden, tiny_tree

VALUES: list[Any] = [
    None, True, 0, -1, 1, 3, 10**11, 2**53 + 1, 10**300, 0.5, -0.5, 1e308, "", "a", "\ud800", "x" * 10_000, [], [[]], {},
    {"a": 1},
]  # fmt: skip
COUNTS = {
    "seed", "epochs", "checkpoint_every", "log_every", "limit", "max_pixels", "min_per_class", "sampled", "runs", "pictures",
}  # fmt: skip
"""Whole numbers of any size: limits, steps and counts of which nothing as large is built."""
DEEP = ["seed: " + "[" * 3000 + "]" * 3000, "{" * 3000, "".join(f"{' ' * i}a:\n" for i in range(3000))]


@pytest.mark.slow
def test_every_leaf_with_every_value_is_valid_or_a_sentence_that_names_a_key() -> None:
    names = field_names(Params)
    leaves = [name for name in names if not any(other.startswith(f"{name}.") for other in names)]
    keys = {section: [leaf for leaf in leaves if leaf.startswith(f"{section}.")] for section in Params.model_fields}
    slowest = 0.0
    for name in leaves:
        for value in VALUES:
            try:
                tree = tiny_tree({name: value})
            except KeyError:  # the preset has another member of the union there
                break
            began = time.process_time()
            try:
                validated(tree, "params.yaml")  # reading the YAML takes longer than all else
            except UserError as error:
                said = str(error)
                assert said.startswith("params.yaml: ") and "\n" not in said, said
                # The sentence names this key, or its neighbour that now fits it no more.
                assert f"parameter {name} " in said or any(key in said for key in keys[name.partition(".")[0]]), said
            slowest = max(slowest, time.process_time() - began)
    assert len(leaves) > 150 and slowest < 1.0


def test_every_whole_number_that_takes_memory_is_bounded() -> None:
    assert {name.rpartition(".")[2] for name in unbounded(Params)} == COUNTS


def unbounded(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of the whole numbers below `model` that have no upper bound."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if inner is int and not any(hasattr(limit, "le") or hasattr(limit, "lt") for limit in field.metadata):
            yield f"{prefix}{name}"
        for candidate in get_args(inner) or (inner,):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from unbounded(candidate, f"{prefix}{name}.")


@pytest.mark.parametrize("text", DEEP)
def test_nesting_of_3000_is_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml nests deeper than 100 levels"):
        parse(text, "params.yaml")


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
def test_a_number_of_5000_digits_is_a_sentence(number: str) -> None:
    with pytest.raises(
        UserError, match=r"params\.yaml(: parameter seed must be a whole number| holds a number with too many)"
    ):
        parse(f"seed: {number}", "params.yaml")


def test_half_a_surrogate_pair_names_its_key() -> None:
    with pytest.raises(UserError, match=r"parameter index\.source holds half of a surrogate pair"):
        parse(overridden({"index.source": "a\ud800b"}), "params.yaml")
    with pytest.raises(UserError, match=r"holds half of a surrogate pair"):
        parse(json.dumps({"\ud800": 1}), "params.yaml")


def test_a_size_beyond_all_memory_is_refused_at_once() -> None:
    changes = {"tokenizer.losses.adversary.layers": 10**11, "tokenizer.losses.adversary.weight": 0.1}
    with pytest.raises(UserError, match=r"tokenizer\.losses\.adversary\.layers is 100000000000, but must be less than"):
        parse(overridden(changes), "params.yaml")


def test_an_ablation_without_parameters_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    said = refused(tmp_path, "ablate", "method")
    assert said == "params.yaml does not exist; write it with `rectok init digits`"
