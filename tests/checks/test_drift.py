"""The gate against an accepted index: what moved, and how far."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from rectok import artifacts
from rectok.artifacts import Check
from rectok.checks import drift
from rectok.data.tables import IndexRow, read_index, write_table
from rectok.params import Params
from rectok.stages import index
from tests.cli.project import rectok, refused
from tests.data.files import image_folder
from tests.project import overridden, parameters


@pytest.fixture(autouse=True)
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of 60 images, which was accepted."""
    monkeypatch.chdir(tmp_path)
    image_folder(Path("pets"), {"cat": 40, "dog": 20})
    index.run(settings())
    assert {check.value for check in drift.checks(settings())} == {drift.NOTHING_ACCEPTED}
    found, _ = drift.summary(settings())
    artifacts.write_json(artifacts.baseline_file(), found.model_dump())


def settings(**limits: object) -> Params:
    changes = {f"gates.index.drift.{name}": value for name, value in limits.items()}
    return parameters({"index.source": "pets", "index.watch": "pets", "index.limit": 0, **changes})


def judged(**limits: object) -> dict[str, Check]:
    index.run(settings(**limits))
    return {check.name: check for check in drift.checks(settings(**limits))}


def failed(**limits: object) -> dict[str, Check]:
    return {name: check for name, check in judged(**limits).items() if not check.passed}


def test_the_accepted_index_itself_has_not_moved() -> None:
    assert {name: check.value for name, check in judged().items()} == {
        "class drift": 0.0,
        "brightness drift": 0.0,
        "size drift": 0.0,
        "side drift": 0.0,
        "more images alike": 0.0,
    }
    assert artifacts.baseline_file().stat().st_size < 1000


def test_other_class_shares_are_told_by_class() -> None:
    image_folder(Path("pets"), {"dog": 20, "owl": 20}, first_seed=5000)
    found = failed()["class drift"]
    assert found.value == pytest.approx((abs(0.4 - 40 / 60) + abs(0.4 - 20 / 60) + 0.2) / 2, abs=1e-3)
    assert found.severity == "WARN"
    assert found.message.startswith("class cat is 40.00% of the images, and was 66.67%; class owl is 20.00%")
    assert failed(severity="ERROR")["class drift"].severity == "ERROR"
    assert "class drift" not in failed(max_class_shift=0.3)


def test_darker_images_are_noticed() -> None:
    for path in Path("pets").rglob("*.png"):
        ImageEnhance.Brightness(Image.open(path).convert("RGB")).enhance(0.7).save(path)
    assert "when the index was accepted" in failed()["brightness drift"].message


def test_larger_files_are_noticed() -> None:
    for path in Path("pets").rglob("*.png"):
        path.write_bytes(path.read_bytes() + bytes(path.stat().st_size))
    assert failed().keys() == {"size drift"}


def test_smaller_pictures_are_noticed_though_their_files_are_not() -> None:
    before = artifacts.read_json(artifacts.baseline_file())
    artifacts.write_json(artifacts.baseline_file(), {**before, "median_side": 2 * before["median_side"]})
    [(name, check)] = failed().items()
    assert (name, check.value) == ("side drift", 0.5)
    side = before["median_side"]
    assert check.message == f"the median image is {side:.4g} pixels wide and high, and was {2 * side:.4g}"
    del before["median_side"]  # accepted by an older version
    artifacts.write_json(artifacts.baseline_file(), before)
    assert failed() == {}


def test_images_that_look_alike_though_their_bytes_differ_are_named() -> None:
    for path in sorted(Path("pets/cat").glob("*.png"))[:10]:
        Image.open(path).save(path.with_stem(f"{path.stem}-again"), compress_level=0)
    found = failed(max_class_shift=1.0, max_size=10.0, sampled=500)
    assert found.keys() == {"more images alike"}
    assert "cat/1000.png looks like cat/1000-again.png" in found["more images alike"].message


@pytest.mark.slow
def test_accepting_an_index_wants_a_gate_that_failed_for_nothing_but_drift(tmp_path: Path) -> None:
    artifacts.baseline_file().unlink()
    (tmp_path / "params.yaml").write_text(overridden({"index.source": "pets", "index.watch": "pets", "index.limit": 0}))
    assert "gate index has not run; run `dvc repro gate-index` first" in refused(tmp_path, "baseline", "index")
    assert rectok(tmp_path, "gate", "index").returncode == 0
    done = rectok(tmp_path, "baseline", "index")
    assert "accepted 60 images of 2 classes" in done.stdout, done.stderr
    assert json.loads(artifacts.baseline_file().read_text())["classes"] == {"cat": 0.666667, "dog": 0.333333}

    drift = {"gates.index.drift.severity": "ERROR", "gates.index.drift.max_class_shift": 0.0}
    fewer = {"index.source": "pets", "index.watch": "pets", "index.limit": 50}

    def gated(changes: dict[str, object]) -> str:
        (tmp_path / "params.yaml").write_text(overridden({**fewer, **changes}))
        assert rectok(tmp_path, "index").returncode == 0
        return rectok(tmp_path, "gate", "index").stderr

    assert "class drift" in gated({**drift, "gates.index.min_per_class": 40})
    said = refused(tmp_path, "baseline", "index")
    assert "gate index failed for more than drift: images per class (see data/checks/index.json); fix" in said
    assert "class drift" in gated(drift)
    table = artifacts.index_file("00000")
    whole = table.read_bytes()
    write_table(table, read_index(table)[1:], IndexRow)
    assert "index.json is about another index than the one in data/index; run" in refused(tmp_path, "baseline", "index")
    table.write_bytes(whole)
    assert "accepted 50 images" in rectok(tmp_path, "baseline", "index").stdout
    assert gated(drift) == ""
