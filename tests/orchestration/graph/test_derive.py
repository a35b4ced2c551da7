import re
from pathlib import Path

import pytest

from orchestration.graph import derive
from orchestration.graph.derive import CACHE, load
from rectok.errors import UserError
from tests.orchestration.project import Project


def test_units_know_their_gate_their_outputs_and_the_gates_that_they_wait_for(project: Project) -> None:
    found = {artefact.name: artefact for artefact in load(project.root).artefacts}
    assert list(found) == ["index", "shards", "tokenizer", "report"]
    assert found["shards"].shards == ("00000", "00001")
    shard = found["shards"].unit("00001")
    assert shard.stage == "shards@00001" and shard.gate == "gate-shards@00001"
    assert shard.outs == ("data/shards/00001.txt", "data/shards/00001.count")
    assert shard.report == "data/checks/shards/00001.json" and shard.pass_marker == "data/passed/shards/00001"
    assert shard.waits_for == ("gate@index",)
    tokenizer = found["tokenizer"]
    assert tokenizer.unit(None).waits_for == ("gate-shards@00000", "gate-shards@00001")
    assert (tokenizer.group, tokenizer.kinds, tokenizer.owner, tokenizer.pool) == (
        "tokenizer",
        ("python",),
        "team:models",
        "accelerator",
    )
    assert found["report"].parents == ("shards", "tokenizer")
    assert found["report"].unit(None).gate is None


def test_the_graph_comes_from_the_cache_until_a_file_changes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load(project.root)
    with monkeypatch.context() as patch:
        patch.setattr(derive, "read_stages", lambda root: pytest.fail("DVC was started again"))
        assert load(project.root) == graph
    path = project.root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("00001", "00002"), encoding="utf-8")
    assert load(project.root).artefacts[1].shards == ("00000", "00002")


def test_a_damaged_cache_is_replaced(project: Project) -> None:
    graph = load(project.root)
    kept = project.root / CACHE
    kept.write_bytes(kept.read_bytes()[:-20])
    assert load(project.root) == graph


def test_a_folder_without_a_pipeline_is_named(tmp_path: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError, match=r"dvc\.yaml does not exist"):
        load(tmp_path)  # type: ignore[arg-type]


def test_parameters_are_read_once_however_many_shards_there_are(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.utils import serialize

    plain, read = serialize.load_path, []
    monkeypatch.setattr(serialize, "load_path", lambda path, *rest: (read.append(path), plain(path, *rest))[1])
    project.shards(16)
    shards = {artefact.name: artefact for artefact in load(project.root).artefacts}["shards"]
    ours = [path for path in read if Path(path).is_absolute()]  # DVC itself reads it by a relative path
    assert len(shards.units) == 16 and ours == [str(project.root / "params.yaml")]


def test_the_version_of_an_artefact_follows_its_commands_and_the_parameters_of_its_stage_and_gate(
    project: Project,
) -> None:
    def versions() -> dict[str, str]:
        return {artefact.name: artefact.version for artefact in load(project.root).artefacts}

    before = versions()
    project.change("nightly.per_class", 5)
    project.shards(3)
    assert versions() == before
    project.change("tokenizer.training.epochs", 99)
    project.change("gates.shards.max_quarantined", 0.5)
    after = versions()
    assert {name for name in before if before[name] != after[name]} == {"tokenizer", "shards"}
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("work.py report", "-B work.py report"), "utf-8")
    assert versions()["report"] != before["report"]


def test_the_version_of_an_artefact_begins_with_the_code_versions_of_its_stage_and_gate(ours: Project) -> None:
    def versions() -> dict[str, str]:
        return {artefact.name: artefact.version for artefact in load(ours.root).artefacts}

    before, path = versions(), ours.root / "versions.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"  index: \d+", "  index: 41", text, count=1), encoding="utf-8")
    after = versions()
    assert {name for name in before if before[name] != after[name]} == {"index"}
    assert after["index"].startswith("41-")


def test_outputs_that_overlap_and_outside_data_are_known(project: Project) -> None:
    assert load(project.root).sources == ("rows.txt",)
    pipeline = project.root / "dvc.yaml"
    text = pipeline.read_text(encoding="utf-8").replace("outs: [data/report]", "outs: [data/tokenizer/page]")
    pipeline.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="data/tokenizer/page"):
        load(project.root)
