import re
from pathlib import Path

import pytest
from PIL import Image

from rectok import artifacts
from rectok.artifacts import Check
from rectok.data.packing import PackedShard, Quarantined, write_quarantine, write_treatments
from rectok.data.tables import IndexRow, ShardRow, read_index, read_table, write_table
from rectok.gates import shards as gate
from rectok.params.editing import changed
from rectok.stages import index, shards
from tests.data.files import BAD, image_folder, params, saved

SHARD = "00000"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("pets"), {"cat": 30, "dog": 25})
    pack()


def settings(**image: object):
    return params({"source": "pets", "shards": [SHARD]}, image)


def pack() -> None:
    index.run(settings())
    shards.run(settings(), SHARD)


def found(**image: object) -> dict[str, Check]:
    return {check.name: check for check in gate.check(settings(**image), SHARD)}


def failed(**image: object) -> dict[str, str]:
    return {name: check.message for name, check in found(**image).items() if not check.passed}


def test_a_good_shard_passes_with_its_counts() -> None:
    checks = found()
    assert not failed()
    assert [checks[name].value for name in ("rows", "accounted", "quarantined")] == [55, 55, 0.0]


def test_a_damaged_row_is_named() -> None:
    shard = PackedShard(SHARD)
    content = bytearray(artifacts.shard_tar(SHARD).read_bytes())
    content[int(shard.offsets[7]) + 50] ^= 0xFF
    artifacts.shard_tar(SHARD).write_bytes(content)
    messages = failed()
    assert set(messages) == {"rows"}
    assert (
        messages["rows"]
        == f"shard 00000: 1 of 55 rows are damaged: row 7 (key {shard.keys[7]}) is not what was written"
    )


def test_a_damaged_header_or_label_is_noticed() -> None:
    shard, content = PackedShard(SHARD), artifacts.shard_tar(SHARD).read_bytes()
    start = int(shard.offsets[3]) - 512
    for broken in (
        content[:start] + b"x" + content[start + 1 :],
        content.replace(shard.keys[3].encode() + b".cls", b"0" * 20, 1),
    ):
        artifacts.shard_tar(SHARD).write_bytes(broken)
        assert set(failed()) == {"layout"}


def test_a_cut_tar_is_noticed() -> None:
    artifacts.shard_tar(SHARD).write_bytes(artifacts.shard_tar(SHARD).read_bytes()[:20_000])
    assert set(failed()) == {"rows", "layout"}


def test_images_of_another_size_are_named() -> None:
    assert "row 0" in failed(size=16)["rows"]
    assert "has shape (32, 32, 3), but should have (16, 16, 3)" in failed(size=16)["rows"]


def test_a_row_that_is_in_neither_place_is_named() -> None:
    rows = [ShardRow(**row) for row in read_table(artifacts.shard_table(SHARD)).to_pylist()]
    write_table(artifacts.shard_table(SHARD), rows[:4] + rows[5:], ShardRow)
    assert f"missing {rows[4].key}; unexpected none" in failed()["accounted"]


def test_a_row_with_another_label_is_named() -> None:
    rows = read_index(artifacts.index_file(SHARD))
    first = rows[0]
    changed = IndexRow(first.key, first.uri, 1 - first.label, first.split, first.bytes, first.sha256)
    write_table(artifacts.index_file(SHARD), [changed, *rows[1:]], IndexRow)
    assert f"missing {first.key}; unexpected {first.key}" in failed()["accounted"]


def test_a_quarantined_image_that_was_never_indexed_is_named() -> None:
    write_quarantine(SHARD, [Quarantined("f" * 16, "dog/x.png", "mode L", "")])
    assert f"missing none; unexpected {'f' * 16}" in failed()["accounted"]


def test_few_bad_images_warn_and_many_stop() -> None:
    Path("pets/dog/grey.png").write_bytes(BAD["grey.png"][0])
    pack()
    checks = found()
    assert checks["quarantined"].passed
    assert checks["quarantined"].value == pytest.approx(1 / 56)
    assert (checks["quarantined: mode L"].severity, checks["quarantined: mode L"].value) == ("WARN", 1)
    assert checks["quarantined: mode L"].message == "left out: dog/grey.png"
    for name, (content, _) in BAD.items():
        Path("pets/dog", name).write_bytes(content)
    pack()
    checks = found()
    assert (checks["quarantined"].passed, checks["quarantined"].severity) == (False, "ERROR")
    message = checks["quarantined"].message
    assert "16-bit image: 2" in message
    assert re.search(
        r"data/shards/\*\.quarantine\.json list the 15 bad of 70 images in 1 of 1 shards: repair or remove them, change "
        r"image\.max_pixels or (image\.\w+ or )*image\.modes, or set gates\.shards\.max_quarantined to (0\.\d+)$",
        message,
    )
    assert checks["accounted"].passed
    assert {name for name in checks if name.startswith("quarantined: ")} == {
        f"quarantined: {r}" for _, r in BAD.values()
    }


def test_the_sentence_knows_the_bad_images_of_all_shards_and_the_parameter_that_accepts_them() -> None:
    names = ["00000", "00001"]
    for number in range(6):
        Path(f"pets/dog/words{number}.png").write_bytes(b"no image %d" % number)
    both = params({"source": "pets", "shards": names})
    index.run(both)
    for name in names:
        shards.run(both, name)
    messages = {check.name: check.message for name in names for check in gate.check(both, name)}
    said = re.search(
        r"list the 6 bad of 61 images in 2 of 2 shards: repair or remove them, or set \S+ to (\S+)$",
        messages["quarantined"],
    )
    assert said
    accepted = changed(both, {"gates.shards.max_quarantined": float(said[1])})
    assert all(check.passed for name in names for check in gate.check(accepted, name) if check.name == "quarantined")
    artifacts.quarantine_file("00001").unlink()
    [message] = [check.message for check in gate.check(both, "00000") if check.name == "quarantined"]
    assert "images in 1 of 2 shards (`dvc repro shards` packs the others): repair" in message


@pytest.mark.parametrize("counts", [[], {"turned upright": 56}, {"turned upright": 0}, {"turned upright": "3"}])
def test_a_table_of_treatments_that_cannot_be_fails(counts: object) -> None:
    artifacts.write_json(artifacts.treatments_file(SHARD), counts)
    assert failed() == {
        "treatments": "data/shards/00000.treatments.json is no table of treatments and their images, of which there are 55"
    }


def test_treatments_are_reported_and_fail_nothing() -> None:
    write_treatments(SHARD, {"turned upright": 3})
    check = found()["turned upright"]
    assert (check.passed, check.severity, check.value) == (True, "WARN", 3)
    assert not failed()


def test_the_page_of_the_index_lists_what_the_shard_left_out_with_its_picture() -> None:
    whole = Path("pets/cat", sorted(path.name for path in Path("pets/cat").iterdir())[0]).read_bytes()
    Path("pets/cat/broken.png").write_bytes(whole[:40])
    Path("pets/cat/deep.png").write_bytes(saved(Image.new("LA", (70, 70), (200, 255)), "png"))
    pack()
    page = artifacts.docs_dir("index") / "index.html"
    found()
    assert not page.exists()  # the gate of the index has not run
    artifacts.write_report(artifacts.GateReport("index", None, (Check("schema", True, "ERROR", "yes", "yes", ""),)))
    found()
    text = page.read_text(encoding="utf-8")
    assert "Shards leave out 2 files." in text and "cat/broken.png" in text and "mode LA" in text
    assert text.count("data:image/png;base64,") == 1 and text.count(">none</span>") == 1
    artifacts.quarantine_file("00001").write_text("[")
    assert "readable" not in found()
