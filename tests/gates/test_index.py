import dataclasses
import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rectok import artifacts
from rectok.artifacts import Check
from rectok.data.tables import IndexRow, read_index, write_table
from rectok.data.thumbnails import thumbnail
from rectok.params.editing import changed
from rectok.stages import index
from tests.data.files import image_folder, params

Rows = list[IndexRow]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("pets"), {"cat": 40, "dog": 25})
    index.run(settings())


def settings():
    return params({"source": "pets"})


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Great Expectations imports deprecated modules of the standard library; only that is forgiven."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("rectok.gates.index")


def found(**changes: object) -> dict[str, Check]:
    gate = importlib.import_module("rectok.gates.index")
    return {check.name: check for check in gate.check(changed(settings(), changes))}


def change(how: Callable[[Rows], Rows], shard: str = "00000") -> Rows:
    path = artifacts.index_file(shard)
    before = read_index(path)
    write_table(path, how(list(before)), IndexRow)
    return before


def failed(**changes: object) -> dict[str, str]:
    return {name: check.message for name, check in found(**changes).items() if not check.passed}


def test_a_good_index_passes_with_its_figures() -> None:
    checks = found()
    assert [check for check in checks.values() if not check.passed] == []
    assert (checks["images per class"].value, checks["images per class"].limit) == (25, 20)
    assert (checks["class balance"].value, checks["class balance"].limit) == (1.6, 2.0)
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_a_malformed_table_is_named_with_row_and_column() -> None:
    change(lambda rows: [dataclasses.replace(rows[0], split="dev"), *rows[1:]])
    assert set(failed()) == {"schema"}
    assert "shard 00000: split in row 0 is 'dev'" in failed()["schema"]


def test_a_key_that_is_not_its_contents_is_named() -> None:
    change(lambda rows: [dataclasses.replace(rows[0], key="f" * 16), *rows[1:]])
    assert "key is the start of sha256" in failed()["schema"]


def test_a_leak_between_splits_and_shards_is_named() -> None:
    row = next(row for row in read_index(artifacts.index_file("00001")) if row.split == "train")
    change(lambda rows: [*rows, dataclasses.replace(row, uri="cat/again.png", split="test")])
    messages = failed()
    assert set(messages) == {"count", "unique keys", "unique contents", "no leak"}
    for name in ("unique keys", "unique contents"):
        assert f"key {row.key} in shard 00000 (cat/again.png)" in messages[name]
        assert f"key {row.key} in shard 00001 ({row.uri})" in messages[name]
    assert messages["no leak"] == f"{row.sha256} lies in 2 splits"


def test_a_label_without_a_name_is_named() -> None:
    before = change(lambda rows: [dataclasses.replace(rows[0], label=2), *rows[1:]])
    assert f"key {before[0].key} in shard 00000 ({before[0].uri}) has label 2" in failed()["label range"]


def test_a_lost_table_is_noticed() -> None:
    artifacts.index_file("00001").unlink()
    assert "images, but 65 were indexed" in failed()["count"]


def test_an_empty_file_is_only_a_warning() -> None:
    before = change(lambda rows: [dataclasses.replace(rows[0], bytes=0), *rows[1:]])
    check = found()["file sizes"]
    assert (check.passed, check.severity, check.value) == (False, "WARN", 0)
    assert before[0].uri in check.message


def test_a_class_outside_of_train_and_an_empty_split_are_named() -> None:
    for shard in ("00000", "00001"):
        change(lambda rows: [dataclasses.replace(r, split="train" if r.label == 0 else "val") for r in rows], shard)
    messages = failed()
    assert set(messages) == {"every split", "training images per class"}
    assert messages["every split"] == "test is empty"
    assert messages["training images per class"] == "class dog has 0 (train), but at least 1 are needed"


def test_a_split_that_nothing_reads_may_be_empty() -> None:
    for shard in ("00000", "00001"):
        change(
            lambda rows: [dataclasses.replace(r, split="val" if i % 3 else "train") for i, r in enumerate(rows)], shard
        )
    assert failed() == {"every split": "test is empty"}
    assert failed(**{"reconstruction.split": "val"}) == {"every split": "test is empty"}  # the probe reads it
    assert failed(**{"reconstruction.split": "val", "probe.split": "val"}) == {}


def test_small_and_unbalanced_classes_are_named() -> None:
    for shard in ("00000", "00001"):
        change(
            lambda rows: (
                [r for r in rows if r.label == 0 or r.split != "train"]
                + [r for r in rows if r.label == 1 and r.split == "train"][:1]
            ),
            shard,
        )
    messages = failed()
    assert messages["images per class"].startswith("class dog has ")
    assert messages["class balance"].startswith("class dog is ")


def test_classes_without_images_are_a_warning_and_count_in_no_balance() -> None:
    artifacts.write_json(artifacts.classes_file(), ["cat", "dog", "owl", "crane (3)"])
    check = found()["classes without images"]
    assert (check.passed, check.severity, check.value) == (False, "WARN", 2)
    assert check.message == "2 of 4 classes have no images: owl; crane (3)"
    assert set(failed()) == {"classes without images"}


def test_pages_about_it_are_kept_beside_its_report() -> None:
    change(lambda rows: [dataclasses.replace(rows[0], bytes=0), *rows[1:]])
    messages = failed()
    page = (artifacts.docs_dir("index") / "index.html").read_text(encoding="utf-8")
    assert messages["file sizes"].split(" (")[0] in page and ">1 WARN<" in page
    assert "http" not in page
    for name in ("images", "contents", "splits", "classes"):
        assert f'href="{name}.html"' in page
        assert "Validation Result" in (artifacts.docs_dir("index") / f"{name}.html").read_text(encoding="utf-8")


def test_a_page_is_kept_of_a_table_that_cannot_be_judged_further() -> None:
    change(lambda rows: [dataclasses.replace(rows[0], split="dev"), *rows[1:]])
    failed()
    assert "schema" in (artifacts.docs_dir("index") / "index.html").read_text(encoding="utf-8")


def test_the_page_shows_images_of_every_class() -> None:
    old = [artifacts.class_strip(7), artifacts.quarantine_picture("of an earlier index")]
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found()
    assert not any(path.exists() for path in old)
    page = (artifacts.docs_dir("index") / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "The shards packed so far have left out no file." in page
    with Image.open(artifacts.class_strip(1)) as strip:
        assert strip.size == (8 * 64 + 7 * 2, 64)
        first = strip.convert("RGB").crop((0, 0, 64, 64))
    row = next(row for shard in settings().index.shards for row in read_index(artifacts.index_file(shard)) if row.label)
    expected = thumbnail(Path("pets", row.uri).read_bytes(), settings().image)
    assert expected is not None and first.tobytes() == expected.tobytes()


def test_the_gate_needs_no_source_that_is_gone() -> None:
    Path("pets").rename("elsewhere")
    assert failed() == {}
    assert not artifacts.class_strip(0).exists()
