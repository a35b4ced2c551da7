import shutil
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.repro.graph import Stage, depths, read_stages, with_needs

REPOSITORY = Path(__file__).parents[2]


def stages(**needs: str) -> dict[str, Stage]:
    return {name: Stage(name, frozenset(words.split()), "") for name, words in needs.items()}


DIAMOND = stages(index="", left="index", right="index", report="left right", beside="index")


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own use of pygtrie
def test_the_pipeline_is_read_as_dvc_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dvc.yaml", "params.yaml", ".gitignore"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    found = read_stages()
    assert found["gate@teacher"] == Stage("gate@teacher", frozenset({"teacher"}), "")
    assert found["teacher"].pool == found["dit"].pool == "accelerator" and found["index"].pool == ""
    assert {"features@00000", "gate-features@00001", "gate@teacher"} <= found["tokenizer"].needs
    assert with_needs(found, ["gate-shards"]).keys() == {
        "index", "gate-index", "shards@00000", "shards@00001", "gate-shards@00000", "gate-shards@00001",
    }  # fmt: skip


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not inside of a DVC repository"):
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
