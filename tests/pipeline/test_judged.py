from pathlib import Path

import pytest

from rectok import artifacts
from rectok.artifacts import GateReport, write_report
from rectok.errors import UserError
from rectok.pipeline.damage import md5_of
from rectok.pipeline.hashes import hashes_of
from rectok.pipeline.judged import not_as_made, record_made, require_artifact, require_judged, require_recorded


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("dit/model.safetensors", "dit/config.json", "latents/00000.safetensors", "latents/00001.safetensors"):
        path = artifacts.DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for stage, shard in (("dit", None), ("latents", "00000")):
        write_report(GateReport(stage, shard, (), hashes_of(artifacts.outputs(stage, shard))))


def test_files_that_their_gates_passed_are_taken_and_others_are_named() -> None:
    require_judged(["data/dit", "data/latents", "data/passed/dit", "params.yaml", "data/raw"])
    for name in ("dit/config.json", "latents/00000.safetensors"):
        path = artifacts.DATA / name
        whole = path.read_bytes()
        path.write_bytes(whole.swapcase())
        with pytest.raises(UserError, match=rf"^{path} is not the file that gate .* passed; `rectok verify` says"):
            require_judged(["data/dit", "data/latents"])
        path.write_bytes(whole)


def test_a_file_that_was_added_is_named() -> None:
    (artifacts.stage_dir("dit") / "new").touch()
    with pytest.raises(UserError, match="data/dit/new is not the file that gate dit passed"):
        require_judged(["data/dit"])


def test_what_no_gate_has_passed_or_is_about_to_be_judged_is_not_compared() -> None:
    artifacts.latents_file("00001").write_text("another")
    assert not artifacts.passed_file("latents", "00001").exists()
    require_judged(["data/latents/00001.safetensors"])
    artifacts.config_file("dit").write_text("another")
    with pytest.raises(UserError, match="is not the file that gate dit passed"):
        require_judged(["data/dit"])
    require_judged(["data/dit"], besides="dit")


def test_before_a_gate_files_are_those_that_the_stage_wrote() -> None:
    artifacts.passed_file("dit").unlink()
    record_made("dit")
    require_judged(["data/dit"])
    config = artifacts.config_file("dit")
    config.write_text("another")
    sentence = "data/dit/config.json is not the file that data/dit/files.json lists; `rectok verify` says whether it is damaged"
    with pytest.raises(UserError, match=sentence):
        require_judged(["data/dit"])
    require_judged(["data/dit/model.safetensors"])
    assert not_as_made("dit", hashes_of(artifacts.outputs("dit"))).startswith(sentence)
    config.unlink()
    with pytest.raises(UserError, match=r"data/dit/config\.json is missing, which data/dit/files\.json lists"):
        require_judged(["data/dit"])
    assert not_as_made("latents", {}) == ""  # which leaves no list


def test_a_file_that_is_missing_is_named() -> None:
    artifacts.config_file("dit").unlink()
    with pytest.raises(UserError, match=r"data/dit/config\.json is missing, which gate dit passed"):
        require_judged(["data/dit"])


@pytest.mark.parametrize("relative", [True, False])
def test_an_artefact_of_any_project_is_compared_and_other_paths_are_not(tmp_path: Path, relative: bool) -> None:
    folder = Path("data/dit") if relative else tmp_path / "data/dit"
    require_artifact(folder)
    (folder / "config.json").write_text("another")
    for path in (folder, folder / "config.json"):
        with pytest.raises(UserError, match=r"^data/dit/config\.json is not the file that gate dit passed"):
            require_artifact(path)
    require_artifact(folder / "model.safetensors")
    require_artifact(folder.rename(tmp_path / "elsewhere"))


def test_a_report_that_was_changed_after_its_gate_is_named() -> None:
    report = artifacts.check_file("dit")
    out = f"{{path: data/checks/dit.json, md5: {md5_of(report)}}}"
    Path("dvc.lock").write_text(f"stages: {{gate@dit: {{cmd: rectok gate dit, outs: [{out}]}}}}")
    require_recorded(
        ["data/checks/dit.json", "data/checks", "data/dit", "params.yaml"]
    )  # that of latents is not recorded
    report.write_text(report.read_text().replace("true", "false"))
    sentence = (
        "^data/checks/dit.json is not the report that dvc.lock records; `rectok verify` says whether it is damaged"
    )
    for place in ("data/checks/dit.json", "data/checks"):
        with pytest.raises(UserError, match=sentence):
            require_recorded([place])
