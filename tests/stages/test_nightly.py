import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rectok import artifacts
from rectok.evaluation.history import (
    FOLDER,
    HISTORY,
    LATEST,
    PAGE,
    PICTURES,
    TREND,
    picture_file,
    read_history,
    write_history,
)
from rectok.evaluation.promotion import content, identity
from rectok.files import write_bytes
from rectok.params import Params
from rectok.params.editing import changed
from rectok.stages import nightly
from rectok.stages.promotion import accept
from tests.evaluation import project
from tests.stages.promoting import passed

pytestmark = pytest.mark.slow  # whole evaluations, night after night


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    return project.build()


def test_nights_have_their_own_seeds_and_a_regression_is_told(params: Params) -> None:
    assert nightly.run(params, "2026-01-01") == []
    [first] = read_history()
    assert (first.date, first.n, first.regressed) == ("2026-01-01", 15, False)
    assert first.gfid_noise and first.sample_accuracy_guided_noise is not None

    # As if the generator had been much better at first.
    write_history([replace(first, gfid=first.gfid / 10)])
    found = nightly.run(params, "2026-01-02")
    assert found[0].startswith("gfid is ")
    latest = artifacts.read_json(LATEST)
    assert latest["regressions"] == found
    second = read_history()[-1]
    assert (latest["date"], latest["gfid"], latest["promotion"]) == ("2026-01-02", second.gfid, None)
    assert (second.protocol, second.generator, second.regressed) == (first.protocol, first.generator, True)
    assert second.gfid != first.gfid
    assert TREND.exists()
    assert found[0] in PAGE.read_text(encoding="utf-8")


def test_the_accepted_generator_is_evaluated_even_when_the_pipeline_has_made_another(params: Params) -> None:
    project.build_evaluation()
    passed()
    promotion = accept(params, "a person", "good", measured=True)
    artifacts.weights_file("dit").write_bytes(b"retrained, and no network at all")
    for day in ("2025-12-30", "2025-12-31"):
        write_bytes(picture_file(day), b"old")
    assert promotion.measured is not None
    write_history([replace(promotion.measured, date="2025-12-31", generator="another")])

    assert nightly.run(changed(params, {"nightly.keep": {"nights": 1, "pictures": 2}}), "2026-01-01") == []
    [night] = read_history()  # the old one goes, for it is no part of the baseline
    assert (night.generator, night.protocol) == (promotion.generator, promotion.measured.protocol)
    assert sorted(path.stem for path in PICTURES.iterdir()) == ["2025-12-31", "2026-01-01"]
    with Image.open(picture_file("2026-01-01")) as picture:
        assert picture.width <= nightly.PICTURE_SIDE
    latest = json.loads(LATEST.read_text(encoding="utf-8"))
    assert latest["promotion"] == 1
    assert {finding["measurements"] for finding in latest["findings"]} == {1}
    assert "a person" in PAGE.read_text(encoding="utf-8")


def test_what_moves_the_figures_is_another_protocol_and_other_weights_another_generator(params: Params) -> None:
    def protocol(**changes: object) -> str:
        return nightly.protocol(changed(params, {f"generation.{name}": value for name, value in changes.items()}), data)

    data = artifacts.DATA
    before, generator = protocol(), identity(content(data))
    assert protocol(batch=5) == protocol(per_class=7) == before
    assert protocol(neighbours=4) != before
    artifacts.shard_table("00000").write_bytes(b"other images")
    assert protocol() != before
    artifacts.weights_file("decoder").write_bytes(b"other weights")
    assert identity(content(data)) != generator


def test_the_report_lies_elsewhere_too_and_a_new_machine_takes_its_history_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copies = tmp_path / "copies"
    found = project.build()
    params = changed(found, {"storage.nightly": str(copies), "nightly.keep": {"nights": 9, "pictures": 1}})
    nightly.run(params, "2026-01-01")
    files = {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    assert HISTORY.name in files
    assert {str(p.relative_to(copies)): p.read_bytes() for p in copies.rglob("*") if p.is_file()} == files
    shutil.rmtree(FOLDER)
    nightly.run(params, "2026-01-02")
    assert [night.date for night in read_history()] == ["2026-01-01", "2026-01-02"]
    assert (copies / HISTORY.name).read_bytes() == HISTORY.read_bytes()
    assert [path.stem for path in (copies / PICTURES.name).iterdir()] == ["2026-01-02"]
