from pathlib import Path

import pytest

from rectok.artifacts import SHARDED, STAGES
from rectok.pipeline.declared import Declared, changed_parameter, declared
from rectok.pipeline.graph import read_stages
from tests.guides.guide import REPOSITORY


def test_it_says_of_every_stage_and_gate_what_dvc_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    stages = read_stages()
    for stage in STAGES:
        shard = "00001" if stage in SHARDED else None
        for name in (stage, f"gate-{stage}"):
            addresses = [name, f"{name}@{shard}", f"gate@{stage}" if name != stage else name]
            theirs = next(stages[address] for address in addresses if address in stages)
            mine = declared(name, shard)
            assert set(mine.params) == {(file, key) for file, keys in theirs.params.items() for key in keys}, name
            assert set(mine.outs) == set(theirs.outs), name
            assert {dep for dep in mine.deps if "$" not in dep} <= set(theirs.deps), name


def test_nothing_is_declared_without_a_pipeline_or_for_a_user_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert declared("nightly", None) == Declared()
    monkeypatch.chdir(tmp_path)
    assert declared("index", None) == Declared()


def test_a_change_is_named_down_to_its_leaf() -> None:
    before = {("params.yaml", "dit"): {"a": {"b": 1, "c": 2}}, ("versions.yaml", "stages.dit"): 1}
    assert changed_parameter(before, dict(before)) == ""
    after = {**before, ("params.yaml", "dit"): {"a": {"b": 1, "c": 3}}}
    assert changed_parameter(before, after) == "dit.a.c of params.yaml"
    assert changed_parameter(before, {**before, ("params.yaml", "dit"): None}) == "dit of params.yaml"
    assert changed_parameter(before, {**before, ("versions.yaml", "stages.dit"): 2}) == "stages.dit of versions.yaml"
