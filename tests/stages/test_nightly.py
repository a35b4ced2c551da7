import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rectok import artifacts
from rectok.evaluation.history import FOLDER, HISTORY, LATEST, TREND, read_history, write_history
from rectok.stages import nightly
from tests.evaluation import project


def test_nights_have_their_own_seeds_and_a_regression_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    assert nightly.run(params, "2026-01-01") == []
    assert nightly.run(params, "2026-01-02") == []
    first, second = read_history()
    assert (first.date, first.n, first.protocol, first.generator) == (
        "2026-01-01",
        15,
        second.protocol,
        second.generator,
    )
    assert first.gfid != second.gfid

    # As if an earlier generator had been much better.
    write_history([replace(first, gfid=first.gfid / 10, generator="better"), second])
    found = nightly.run(params, "2026-01-02")
    assert len(found) == 1
    assert found[0].startswith("gfid is ")
    latest = artifacts.read_json(LATEST)
    assert latest["regressions"] == found
    assert (latest["date"], latest["gfid"]) == ("2026-01-02", second.gfid)
    assert len(read_history()) == 2
    assert TREND.exists()


def test_another_decoder_is_another_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = project.build()
    nightly.run(params, "2026-01-01")
    weights = artifacts.weights_file("decoder")
    weights.write_bytes(artifacts.weights_file("tokenizer").read_bytes())
    nightly.run(params, "2026-01-02")
    first, second = read_history()
    assert first.generator != second.generator
    assert first.protocol == second.protocol


def test_the_report_lies_elsewhere_too_and_a_new_machine_takes_its_history_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copies = tmp_path / "copies"
    found = project.build()
    params = found.model_copy(update={"storage": found.storage.model_copy(update={"nightly": str(copies)})})
    nightly.run(params, "2026-01-01")
    files = {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    assert HISTORY.name in files
    assert {str(p.relative_to(copies)): p.read_bytes() for p in copies.rglob("*") if p.is_file()} == files
    shutil.rmtree(FOLDER)
    nightly.run(params, "2026-01-02")
    assert [night.date for night in read_history()] == ["2026-01-01", "2026-01-02"]
    assert (copies / HISTORY.name).read_bytes() == HISTORY.read_bytes()
