"""Workspaces: the parameters and the lock that each starts with."""

from pathlib import Path

import pytest

from rectok.ablation.spec import cells
from rectok.ablation.workspace import prepare, prepare_shared
from rectok.artifacts import read_json, write_json
from rectok.params import parse
from tests.ablation import project
from tests.errors import user_error
from tests.project import write_params

SPEC = project.SPEC.model_copy(update={"set": {"dit.training.epochs": 7}})


@pytest.fixture(autouse=True)
def here(here: Path) -> Path:
    project.build()
    return here


def test_what_rows_share_has_the_changes_of_all_rows_and_of_none_alone(here: Path) -> None:
    before = parse(Path("params.yaml").read_text(), "params.yaml")
    shared = parse((prepare_shared("lengths", SPEC) / "params.yaml").read_text(), "shared")
    row = parse(prepare("lengths", SPEC, cells(SPEC)[0]).params.read_text(), "row")
    assert before.dit.training.epochs != shared.dit.training.epochs == row.dit.training.epochs == 7
    assert shared.decoder == before.decoder != row.decoder


def test_a_row_starts_with_the_lock_of_what_is_shared_and_keeps_its_own(here: Path) -> None:
    Path("dvc.lock").write_text("stages: {}  # the project's\n")
    first, second = cells(SPEC)[:2]
    row = prepare("lengths", SPEC, first)
    assert (row.folder / "dvc.lock").read_text() == Path("dvc.lock").read_text()

    shared = prepare_shared("lengths", SPEC)
    (shared / "dvc.lock").write_text("stages: {}  # what is shared\n")
    assert (prepare("lengths", SPEC, second).folder / "dvc.lock").read_text() == (shared / "dvc.lock").read_text()
    assert (prepare("lengths", SPEC, first).folder / "dvc.lock").read_text() == Path("dvc.lock").read_text()


def test_a_run_of_other_code_versions_is_not_done(here: Path) -> None:
    Path("versions.yaml").write_text("stages: {dit: 1}\n")
    row = prepare("lengths", SPEC, cells(SPEC)[0])
    project.finish(row, 20.0)
    assert row.done() and (row.folder / "versions.yaml").read_text() == "stages: {dit: 1}\n"
    Path("versions.yaml").write_text("stages: {dit: 2}\n")
    assert not row.done()
    Path("versions.yaml").write_text("stages: {dit: 1}  # again\n")
    assert row.done()
    record = read_json(row.result)
    assert record.pop("versions") == {"dit": 1}
    write_json(row.result, record)  # as before there were versions
    assert not row.done()


def test_a_row_finds_what_the_parameters_name_in_the_project(here: Path) -> None:
    for name in ("photos/cat/1.png", "labels.csv", "data/imported/tokenizer/model.safetensors", "reference.npz"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    changes = {
        "index.source": "photos",
        "index.watch": "photos",
        "index.labels": "labels.csv",
        "generation.reference": "reference.npz",
        "tokenizer.initial": {"path": "data/imported/tokenizer/model.safetensors", "sha256": "0" * 64},
        "teacher.network.weights": "timm",  # a library, and no file
    }
    write_params(here, changes)
    row = prepare("lengths", SPEC, cells(SPEC)[0]).folder
    assert prepare("lengths", SPEC, cells(SPEC)[0]).folder == row  # again
    for name in ("photos/cat/1.png", "labels.csv", "data/imported/tokenizer/model.safetensors", "reference.npz"):
        assert (row / name).read_text() == name
    assert not (row / "timm").exists()

    write_params(here, {"index.source": "photos/cat", "index.watch": "photos"})
    Path("photos/dog").mkdir()
    inner = prepare("nested", SPEC, cells(SPEC)[0]).folder
    assert (inner / "photos/dog").exists() and (inner / "photos").is_symlink()

    write_params(here, {"index.source": "../photos", "index.watch": "../photos"})
    (here / ".." / "photos").mkdir()
    with user_error(r"index\.source is \.\./photos, outside of the project; .* its absolute path"):
        prepare("lengths", SPEC, cells(SPEC)[1])
