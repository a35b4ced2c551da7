import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rectok import artifacts
from rectok.evaluation.fingerprint import generation_fingerprint
from rectok.files import write_bytes
from rectok.nightly import run as nightly
from rectok.nightly.generator_copy import content, identity
from rectok.nightly.history import (
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
from rectok.nightly.promotion import promote_current
from rectok.params import Params
from rectok.params.editing import changed
from rectok.storage.objects import below, list_files, read_bytes
from tests.errors import user_error
from tests.evaluation import project
from tests.nightly.promoting import better, passed
from tests.storage.server import BUCKET, running

pytestmark = pytest.mark.slow  # whole evaluations, night after night


@pytest.fixture
def params(here: Path) -> Params:
    return project.build()


def test_nights_have_their_own_seeds_and_a_regression_is_told(params: Params) -> None:
    assert nightly.run(params, "2026-01-01") == []
    [first] = read_history()
    assert (first.date, first.n, first.regressed) == ("2026-01-01", 15, False)
    assert first.noise["gfid"] and first.noise["sample_accuracy_guided"] is not None

    # As if the generator had been much better at first.
    write_history([better(first)])
    found = nightly.run(params, "2026-01-02")
    assert found[0].startswith("gFID is ")
    latest = artifacts.read_json(LATEST)
    assert latest["regressions"] == found
    second = read_history()[-1]
    assert (latest["date"], latest["gfid"], latest["promotion"]) == ("2026-01-02", second.metrics["gfid"], None)
    assert (second.protocol, second.generator, second.regressed) == (first.protocol, first.generator, True)
    assert second.metrics["gfid"] != first.metrics["gfid"]
    assert TREND.exists()
    assert found[0] in PAGE.read_text(encoding="utf-8")


def test_a_damaged_history_is_told_before_the_long_work(params: Params) -> None:
    HISTORY.parent.mkdir(parents=True)
    HISTORY.write_text("<<<<<<< HEAD\n", encoding="utf-8")
    artifacts.weights_file("dit").unlink()  # what would be missed first if the work began
    with user_error(r"history\.csv is damaged in line 1"):
        nightly.run(params, "2026-01-01")


def test_the_promoted_generator_is_evaluated_even_when_the_pipeline_has_made_another(params: Params) -> None:
    project.build_evaluation()
    passed()
    promotion = promote_current(params, "a person", "good", measured=True)
    artifacts.weights_file("dit").write_bytes(b"retrained, and no network at all")
    for day in ("2025-12-30", "2025-12-31"):
        write_bytes(picture_file(day), b"old")
    assert promotion.measured is not None
    write_history([replace(promotion.measured, date="2025-12-31", generator="another")])

    # What nobody trained differs much from seed to seed.
    few = changed(params, {"nightly.keep": {"runs": 1, "pictures": 2}, "nightly": {"accuracy_tolerance": 1.0}})
    assert nightly.run(few, "2026-01-01") == []
    [night] = read_history()  # the old one goes, for it is no part of the baseline
    assert (night.generator, night.protocol) == (promotion.generator, promotion.measured.protocol)
    assert sorted(path.stem for path in PICTURES.iterdir()) == ["2025-12-31", "2026-01-01"]
    with Image.open(picture_file("2026-01-01")) as picture:
        assert picture.width <= nightly.PICTURE_SIDE
    latest = json.loads(LATEST.read_text(encoding="utf-8"))
    assert latest["promotion"] == 1
    assert {comparison["measurements"] for comparison in latest["comparisons"]} == {1}
    assert "a person" in PAGE.read_text(encoding="utf-8")


def test_what_moves_the_figures_is_another_protocol_and_other_weights_another_generator(params: Params) -> None:
    def protocol(**changes: object) -> str:
        config = changed(params, {f"generation.{name}": value for name, value in changes.items()}).generation
        return generation_fingerprint(config, params.index.shards, "test", params.nightly.per_class, data)

    data = artifacts.DATA
    before, generator = protocol(), identity(content(data))
    assert protocol(batch=5) == protocol(per_class=7) == before
    assert protocol(neighbours=4) != before
    artifacts.shard_table("00000").write_bytes(b"other images")
    assert protocol() != before
    artifacts.weights_file("decoder").write_bytes(b"other weights")
    assert identity(content(data)) != generator


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_the_report_lies_elsewhere_too_and_a_new_machine_takes_its_history_up(
    place: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(monkeypatch):
        copies = str(here / "copies") if place == "folder" else f"s3://{BUCKET}/nightly"
        found = project.build()
        params = changed(found, {"storage.nightly": copies, "nightly.keep": {"runs": 9, "pictures": 1}})
        nightly.run(params, "2026-01-01")
        files = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
        assert HISTORY.name in files
        assert {file.name: read_bytes(below(copies, file.name)) for file in list_files(copies)} == files
        shutil.rmtree(FOLDER)
        nightly.run(params, "2026-01-02")
        assert [night.date for night in read_history()] == ["2026-01-01", "2026-01-02"]
        assert read_bytes(below(copies, HISTORY.name)) == HISTORY.read_bytes()
        assert [file.name for file in list_files(below(copies, PICTURES.name))] == ["2026-01-02.png"]


def test_elsewhere_too_the_newest_figures_come_last(here: Path) -> None:
    """latest.json vouches for the rest; where a file cannot be written, it is not there either."""
    for path in (LATEST, PAGE, TREND):
        write_bytes(path, b"new")
    (here / "copies" / TREND.name / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=TREND.name):
        nightly._copy(str(here / "copies"), keep=1)
    assert (here / "copies" / PAGE.name).exists() and not (here / "copies" / LATEST.name).exists()
