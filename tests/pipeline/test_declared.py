import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rectok.artifacts import SHARDED, STAGES
from rectok.errors import UserError
from rectok.params import load
from rectok.pipeline.code_versions import read_versions
from rectok.pipeline.declared import Declared, changed_parameter, declared, values
from rectok.pipeline.graph import read_stages
from rectok.pipeline.process import DVC, run_to_end
from tests import forked
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


@pytest.mark.parametrize(
    "text",
    [
        "[" * 3000,
        "{a: " * 200,
        "a: " + "9" * 5000,
        "[",
        "\0",
        "1",
        "stages: [1]",
        "stages: {index: x}",
        "stages: {a: [1]}",
        "stages: {index: {do: 1}}",
        "stages: {index: {do: {cmd: 1}}}",
    ],
)
@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml", "versions.yaml"])
def test_files_of_other_contents_end_in_a_sentence_or_declare_nothing(here: Path, name: str, text: str) -> None:
    shutil.copy(REPOSITORY / "dvc.yaml", here)
    Path(name).write_text(text)
    declaration = declared("index", None)
    assert (declaration == Declared()) == (name == "dvc.yaml")
    assert values(declaration).keys() == set(declaration.params)
    calls: dict[str, Callable[[], object]] = {
        "dvc.yaml": read_stages,
        "params.yaml": load,
        "versions.yaml": read_versions,
    }
    if name == "dvc.yaml" and text.startswith(
        ("[[", "{a: {")
    ):  # DVC takes long to give up, which test_graph.py waits for
        return
    if name == "dvc.yaml":
        run_to_end((*DVC, "init", "--no-scm", "--quiet"), here, {"PATH": forked.path()})
    with pytest.raises(UserError) as caught:
        calls[name]()
    assert len(str(caught.value).splitlines()) == 1
