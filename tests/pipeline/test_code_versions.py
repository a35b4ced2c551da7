"""Versions of code: this repository's own, and the ways on after an edit, in a small package."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rectok.artifacts import STAGES
from rectok.errors import UserError
from rectok.pipeline import code_versions
from rectok.pipeline.code_versions import CodeVersions, main, mismatch, parameter, read_versions

REPOSITORY = Path(__file__).parents[2]


def test_no_code_of_a_stage_changed_without_its_version() -> None:
    sentences = "\n".join(CodeVersions().sentences())
    assert not sentences, sentences


def test_every_stage_and_gate_of_the_pipeline_depends_on_its_version() -> None:
    stages = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    named = set()
    for name, stage in stages.items():
        [each] = [entry["versions.yaml"] for entry in (stage.get("do") or stage)["params"] if isinstance(entry, dict)]
        items = stage["foreach"] if isinstance(stage.get("foreach"), list) else [""]
        named |= {each[0].replace("${item}", item) for item in items}
        assert name == "gate" or named >= {parameter(name)}
    assert named == {parameter(name) for name in read_versions(REPOSITORY / "versions.yaml")}
    assert len(named) == 2 * len(STAGES)


@pytest.fixture
def clone(tmp_path: Path) -> CodeVersions:
    for name, text in {
        "__init__.py": "",
        "stages/index.py": "from rectok import table",
        "stages/shards.py": "from rectok import table, tar",
        "gates/index.py": "",
        "table.py": "ROWS = 1",
        "tar.py": "",
    }.items():
        path = tmp_path / "rectok" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    versions = again(tmp_path)
    versions.record()
    assert read_versions(tmp_path / "versions.yaml") == {"index": 1, "shards": 1, "gate-index": 1}
    return versions


def again(folder: Path) -> CodeVersions:
    return CodeVersions(folder / "rectok", folder / "record.json")


def sentences(folder: Path) -> list[str]:
    return list(again(folder).sentences())


def test_an_edit_names_stages_and_files_and_both_ways_on(clone: CodeVersions, tmp_path: Path) -> None:
    assert sentences(tmp_path) == []
    (tmp_path / "rectok/table.py").write_text('"""Rows."""\nROWS = 1  # the first\n')
    assert sentences(tmp_path) == []
    (tmp_path / "rectok/table.py").write_text("ROWS = 2")
    [sentence] = sentences(tmp_path)
    assert sentence == (
        "the code of index, shards changed (rectok/table.py) and their versions did not: "
        "`python -m rectok.pipeline.code_versions bump` raises them, or `python -m rectok.pipeline.code_versions record` "
        "says that results stay the same"
    )
    again(tmp_path).record()
    assert sentences(tmp_path) == [] and read_versions(tmp_path / "versions.yaml")["index"] == 1


def test_bump_raises_what_changed_or_what_is_named(clone: CodeVersions, tmp_path: Path) -> None:
    def bumped(*names: str) -> list[str]:
        versions = again(tmp_path)
        raised = versions.raised(names)
        versions.record()
        return raised

    assert bumped() == []
    (tmp_path / "rectok/tar.py").write_text("TAR = 1")
    assert bumped() == ["shards"]
    (tmp_path / "rectok/table.py").write_text("ROWS = 2")
    assert bumped("index") == ["index"]
    assert read_versions(tmp_path / "versions.yaml") == {"index": 2, "shards": 2, "gate-index": 1}
    assert sentences(tmp_path) == []
    with pytest.raises(UserError, match="no code of 'shelves'; choose one of index, shards, gate-index"):
        bumped("shelves")


def test_a_version_raised_by_hand_is_to_be_recorded(clone: CodeVersions, tmp_path: Path) -> None:
    (tmp_path / "rectok/tar.py").write_text("TAR = 1")
    path = tmp_path / "versions.yaml"
    path.write_text(path.read_text().replace("shards: 1", "shards: 2"))
    [sentence] = sentences(tmp_path)
    assert "differ in stages.shards" in sentence and "record` records versions.yaml" in sentence
    assert again(tmp_path).raised(()) == []


def test_a_new_stage_begins_with_one_and_one_that_is_gone_leaves(clone: CodeVersions, tmp_path: Path) -> None:
    (tmp_path / "rectok/stages/index.py").rename(tmp_path / "rectok/stages/teacher.py")
    assert sentences(tmp_path)
    again(tmp_path).record()
    assert read_versions(tmp_path / "versions.yaml") == {"shards": 1, "teacher": 1, "gate-index": 1}
    assert sentences(tmp_path) == []


def test_after_a_conflict_in_git_the_versions_to_raise_are_named(clone: CodeVersions, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("<<<<<<< HEAD\n")
    [sentence] = sentences(tmp_path)
    assert "record.json cannot be read, as after a conflict in git" in sentence
    with pytest.raises(UserError, match=r"record\.json cannot be read; name the stages whose versions are to rise"):
        again(tmp_path).raised(())
    versions = again(tmp_path)
    versions.raised(["index"])
    versions.record()
    assert sentences(tmp_path) == [] and read_versions(tmp_path / "versions.yaml")["index"] == 2


def test_a_project_of_other_versions_is_told_what_to_do(tmp_path: Path) -> None:
    assert mismatch(tmp_path) == ""  # no pipeline at all
    (tmp_path / "dvc.yaml").write_text("stages: {index: {cmd: rectok index}}\n")  # of a time without code versions
    assert "versions.yaml lacks stages.index, but" in mismatch(tmp_path)
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    assert mismatch(tmp_path) == ""  # DVC compares, and misses the file
    shutil.copy(REPOSITORY / "versions.yaml", tmp_path)
    assert mismatch(tmp_path) == ""
    number = read_versions(tmp_path / "versions.yaml")["dit"]
    path = tmp_path / "versions.yaml"
    path.write_text(path.read_text().replace(f"  dit: {number}\n", "  dit: 77\n", 1))
    assert mismatch(tmp_path) == (
        f"versions.yaml says 77 for stages.dit, but the installed rectok has version {number} of that code; "
        "`rectok init --upgrade` writes its dvc.yaml and versions.yaml, and `dvc repro` then runs what changed"
    )


@pytest.mark.parametrize("text", ["stages: [", "a text", "stages: {index: one}", "stages: {index: 0}", "rooms: {a: 1}"])
def test_a_damaged_file_of_versions_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "versions.yaml").write_text(text)
    with pytest.raises(UserError, match=r"versions\.yaml must hold the sections stages and gates, with a whole number"):
        read_versions(tmp_path / "versions.yaml")


def test_the_tool_says_how_it_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("check`, `python -m rectok.pipeline.code_versions record` or")):
        main(["mend"])
    monkeypatch.setattr(code_versions.CodeVersions.__init__, "__defaults__", (tmp_path / "rectok", tmp_path / "record"))
    with pytest.raises(UserError, match="in a clone of the repository; this package is installed"):
        main(["check"])
