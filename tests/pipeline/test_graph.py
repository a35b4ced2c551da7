import shutil
from pathlib import Path

import pytest
from dvc.repo.reproduce import plan_repro

from rectok.errors import UserError
from rectok.pipeline.code_versions import read_versions
from rectok.pipeline.graph import Stage, address, depths, longest_chain, opened, read_stages, with_needs

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie


def stages(**needs: str) -> dict[str, Stage]:
    return {name: Stage(name, frozenset(words.split()), "") for name, words in needs.items()}


DIAMOND = stages(index="", left="index", right="index", report="left right", beside="index")


def test_the_pipeline_is_read_as_dvc_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "versions.yaml", ".gitignore"):
        shutil.copy(REPOSITORY / name, tmp_path)
    in_project(tmp_path, (REPOSITORY / "dvc.yaml").read_text())
    found = read_stages()
    gate = found["gate@teacher"]
    assert (gate.needs, gate.pool, gate.command) == ({"teacher"}, "", "rectok gate teacher")
    assert gate.params["versions.yaml"] == {"gates.teacher": read_versions()["gate-teacher"]}
    assert gate.params["params.yaml"].keys() == {"gates.teacher"}
    assert found["teacher"].pool == found["dit"].pool == "accelerator" and found["index"].pool == ""
    assert {"features@00000", "gate-features@00001", "gate@teacher"} <= found["tokenizer"].needs
    assert list(with_needs(found, ["gate-shards"])) == [  # as dvc.yaml declares them
        "index", "shards@00000", "shards@00001", "gate-index", "gate-shards@00000", "gate-shards@00001",
    ]  # fmt: skip
    with opened(tmp_path) as repo:
        order = [address(stage) for stage in plan_repro(repo.index.graph, list(repo.index.stages))]
    last_shard = order.index(
        "shards@00001"
    )  # the gate of a shard that stops the run counts the bad images of all shards
    assert last_shard < min(order.index(f"gate-shards@{shard}") for shard in ("00000", "00001"))


def in_project(folder: Path, stages: str) -> None:
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (folder / "dvc.yaml").write_text(stages)


def test_a_frozen_stage_waits_for_nothing_and_files_that_nobody_needs_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    in_project(
        tmp_path,
        "stages:\n  a: {cmd: touch a, outs: [a]}\n  b: {cmd: touch b, deps: [a, raw], outs: [b], frozen: true}\n"
        "  c: {cmd: touch c, deps: [b, raw], outs: [c]}\n",
    )
    for name in ("raw", "stray"):
        (tmp_path / f"{name}.dvc").write_text(
            f"outs:\n- {{md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, path: {name}}}\n"
        )
    found = read_stages()
    assert {address: set(stage.needs) for address, stage in found.items()} == {
        "a": set(), "b": set(), "c": {"b", "raw.dvc"}, "raw.dvc": set(),
    }  # fmt: skip
    assert with_needs(found, ["c"]).keys() == {"c", "b", "raw.dvc"}


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    in_project(tmp_path, "stages: {}\n")
    with pytest.raises(UserError, match=r"no stage in dvc\.yaml; run this in the folder that holds the pipeline"):
        read_stages()


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        read_stages()


def test_a_pipeline_that_nests_3000_levels_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    in_project(tmp_path, f"stages:\n  a: {{cmd: x, meta: {'[' * 3000}{']' * 3000}}}\n")
    with pytest.raises(UserError, match=r"dvc\.yaml or a file that it names nests too deep"):
        read_stages()


def test_targets_bring_all_that_they_need_and_nothing_else() -> None:
    assert with_needs(DIAMOND, ["left"]).keys() == {"index", "left"}
    assert with_needs(DIAMOND, ["report"]).keys() == {"index", "left", "right", "report"}
    assert with_needs(DIAMOND, []).keys() == DIAMOND.keys()


def test_a_target_that_is_no_stage_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"no stage 'lift' in dvc\.yaml; its stages are beside, index, left, report, right"
    ):
        with_needs(DIAMOND, ["lift"])


def test_the_depth_is_the_longest_chain_of_those_that_wait() -> None:
    chain = stages(a="", b="a", c="b", d="a c", e="")
    assert depths(chain) == {"a": 3, "b": 2, "c": 1, "d": 0, "e": 0}


def test_the_longest_chain_holds_all_chains_that_are_as_long() -> None:
    assert longest_chain(DIAMOND) == {"index", "left", "right", "report"}
    assert longest_chain(stages(a="", b="a", c="b", late="", d="c late")) == {"a", "b", "c", "d"}
    assert longest_chain(stages(alone="")) == {"alone"} and longest_chain({}) == set()


def test_what_a_stage_waits_for_through_others_counts_too() -> None:
    assert with_needs(DIAMOND, ["report"]).keys() == {"index", "left", "right", "report"}
    assert with_needs(DIAMOND, ["index"]).keys() == {"index"}
