import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectok import artifacts
from rectok.data.sources import source_folder
from rectok.data.sources.left_out import LISTED
from rectok.data.tables import read_index
from rectok.errors import UserError
from rectok.stages import index
from rectok.storage.s3 import StoredFile
from tests.data.files import image_folder, params, picture

SHARDS = ["00000", "00001", "00002", "00003"]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def folder(**changes: object):
    return params({"source": "pets", "shards": SHARDS, **changes})


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in artifacts.stage_dir("index").iterdir()}


def test_every_image_is_indexed_once_with_its_own_content() -> None:
    image_folder(Path("pets"), {"cat": 20, "dog": 15})
    index.run(folder())
    rows = [row for shard in SHARDS for row in read_index(artifacts.index_file(shard))]
    assert len({row.uri for row in rows}) == 35
    for row in rows:
        content = Path("pets", row.uri).read_bytes()
        assert (row.sha256, row.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert artifacts.read_json(artifacts.classes_file(), list) == ["cat", "dog"]


def test_the_same_source_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    image_folder(Path("pets"), {"cat": 20, "dog": 15})
    index.run(folder())
    before = files()
    index.run(folder(source=str(tmp_path / "pets")))
    assert files() == before


def test_an_added_image_changes_only_its_shard_and_the_summary() -> None:
    image_folder(Path("pets"), {"cat": 20, "dog": 15})
    index.run(folder())
    before = files()
    content = picture(77)
    Path("pets/dog/new.png").write_bytes(content)
    index.run(folder())
    changed = {name for name, now in files().items() if before[name] != now}
    shard = SHARDS[int(hashlib.sha256(content).hexdigest(), 16) % len(SHARDS)]
    assert changed == {f"{shard}.parquet", "summary.json"}


def test_fewer_shards_leave_no_stale_table() -> None:
    image_folder(Path("pets"), {"cat": 20, "dog": 15})
    index.run(folder())
    index.run(folder(shards=["00000"]))
    assert set(files()) == {"00000.parquet", "classes.json", "summary.json"}
    assert len(read_index(artifacts.index_file("00000"))) == 35


def test_digits_are_split_as_asked() -> None:
    index.run(params({"source": "sklearn:digits"}))
    summary = artifacts.read_json(artifacts.summary_file("index"))
    assert summary["images"] == 1797
    assert summary["splits"]["test"] / 1797 == pytest.approx(0.2, abs=0.005)
    assert summary["splits"]["val"] / 1797 == pytest.approx(0.1, abs=0.005)
    for counts in summary["classes"].values():
        total = sum(counts.values())
        assert counts["test"] / total == pytest.approx(0.2, abs=0.02)
        assert counts["val"] / total == pytest.approx(0.1, abs=0.02)


def test_a_source_that_nothing_watches_is_refused() -> None:
    image_folder(Path("pets"), {"cat": 2, "dog": 2})
    Path("other").mkdir()
    with pytest.raises(UserError, match=r"index\.watch is other, so changes of index\.source pets would go unseen"):
        index.run(folder(watch="other"))
    index.run(folder(watch="pets"))


def test_labels_of_a_table_are_indexed_and_must_be_watched_too() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    names = sorted(str(path.relative_to("pets")) for path in Path("pets").rglob("*.png"))
    table = "".join(f"{name},{number % 2}\n" for number, name in enumerate(names[:-1]))
    Path("labels.csv").write_text(f"file,label\n{table}")
    with pytest.raises(
        UserError, match=r"index\.watch is pets, so changes of index\.labels labels\.csv would go unseen"
    ):
        index.run(folder(labels="labels.csv", watch="pets"))
    index.run(folder(labels="labels.csv", watch="."))
    rows = [row for shard in SHARDS for row in read_index(artifacts.index_file(shard))]
    assert {row.uri: row.label for row in rows} == {name: number % 2 for number, name in enumerate(names[:-1])}
    assert artifacts.read_json(artifacts.summary_file("index"))["unlisted"] == 1


def test_a_file_that_grows_while_it_is_indexed_stops_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    listed = source_folder.list_files

    def then_grow(root: str, dangling: bool) -> Iterator[StoredFile]:
        found = list(listed(root, dangling))
        Path(root, found[2].name).write_bytes(picture(1, (30, 30)))
        yield from found

    monkeypatch.setattr(source_folder, "list_files", then_grow)
    with pytest.raises(UserError, match=r"pets/cat/1002\.png had \d+ bytes and now has \d+; run the stage again"):
        index.run(folder())
    assert not artifacts.stage_dir("index").exists()


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    Path(os.fsdecode(b"pets/cat/\xff.png")).write_bytes(picture(1))
    with pytest.raises(UserError, match=r"the file name 'cat/\\udcff\.png' is not UTF-8; rename it"):
        index.run(folder())


@pytest.mark.parametrize("place", ["", "images/"])
def test_a_table_that_labels_nothing_is_named_with_its_columns(place: str) -> None:
    for name in ("1", "2"):
        Path(f"pets/{place}").mkdir(parents=True, exist_ok=True)
        Path(f"pets/{place}{name}.png").write_bytes(picture(int(name)))
    Path("pets/metadata.csv").write_text("filename,label\n1.png,cat\n2.png,dog\n")
    with pytest.raises(
        UserError,
        match=r"labels to none; to label them, pets/metadata\.csv needs the columns file_name and"
        r" label, and it has filename, label$",
    ):
        index.run(folder())


@pytest.mark.parametrize(
    "counts,problem",
    [
        (None, r"index\.source pets does not exist"),
        ({}, r"index\.source pets holds no images"),
        ({"cat": 3}, r"holds only one class \(cat\)"),
        ({"cat": 3, "dog": 1}, r"class dog of index\.source pets has a single image"),
    ],
)
def test_a_source_of_no_use_leaves_the_old_index_whole(
    counts: dict[str, int] | None, problem: str, tmp_path: Path
) -> None:
    image_folder(Path("good"), {"cat": 4, "dog": 4})
    index.run(folder(source="good"))
    before = files()
    if counts is not None:
        image_folder(Path("pets"), counts).mkdir(exist_ok=True)
    with pytest.raises(UserError, match=problem):
        index.run(folder())
    assert files() == before


def left_out() -> dict[str, list[str]]:
    summary = artifacts.read_json(artifacts.summary_file("index"))
    return {reason: entry["first"] for reason, entry in summary.get("left_out", {}).items()}


def test_what_is_left_out_is_listed_and_is_no_image() -> None:
    image_folder(Path("pets"), {"train/cat": 9, "train/dog": 9, "test/cat": 3, "test/dog": 3})
    index.run(folder())
    assert left_out() == {}
    for name, content in {
        "cover.png": picture(1), "train/stray.png": picture(2), "train/cat/notes.txt": b"words", "README": b"words",
        "train/cat/photo": picture(3), "train/cat/photo.JPG_large": picture(4, kind="jpeg"), "train/cat/.hidden.png": b"-",
        "train/cat/broken.png": b"words",
    }.items():  # fmt: skip
        Path("pets", name).write_bytes(content)
    index.run(folder())
    assert left_out() == {
        "beside the class folders": ["cover.png", "train/stray.png"],
        "not an image": ["README", "train/cat/notes.txt"],
    }
    uris = {row.uri for shard in SHARDS for row in read_index(artifacts.index_file(shard))}
    assert {"train/cat/photo", "train/cat/photo.JPG_large", "train/cat/broken.png"} <= uris and len(uris) == 27


def test_long_lists_of_left_out_files_are_counted() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    for number in range(LISTED + 5):
        Path(f"pets/cat/{number:03d}.json").write_text("{}")
    index.run(folder())
    entry = artifacts.read_json(artifacts.summary_file("index"))["left_out"]["not an image"]
    assert (entry["files"], len(entry["first"])) == (LISTED + 5, LISTED)


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "VAL"), ("train2017", "val2017"), ("dev",)])
def test_splits_are_no_classes_but_can_be_read_unlabelled(names: tuple[str, ...]) -> None:
    image_folder(Path("pets"), dict.fromkeys(names, 20))
    with pytest.raises(UserError, match=rf"no labels but {names[-1]}|no labels but .* and {names[-1]}") as error:
        index.run(folder())
    assert "set index.labels to none" in str(error.value)
    assert not artifacts.stage_dir("index").exists()


def test_unlabelled_images_are_one_class_in_the_splits_of_their_folders() -> None:
    image_folder(Path("pets"), {"train": 20, "test": 10})
    index.run(folder(labels="none"))
    summary = artifacts.read_json(artifacts.summary_file("index"))
    assert artifacts.read_json(artifacts.classes_file(), list) == ["unlabelled"]
    assert summary["splits"]["test"] == 10 and summary["splits"]["train"] + summary["splits"]["val"] == 20
    Path("empty").mkdir()
    with pytest.raises(UserError, match=r"index\.source empty holds no images"):
        index.run(params({"source": "empty", "watch": "empty", "labels": "none", "shards": SHARDS}))


def test_classes_keep_the_numbers_of_their_source() -> None:
    Path("pets").mkdir()
    names = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["crane", "drake", "crane", "owl"]}}}}
    table = pa.table({"image": [picture(n) for n in range(40)], "label": [2 * (n % 2) for n in range(40)]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), "pets/x.parquet")
    index.run(folder())
    assert artifacts.read_json(artifacts.classes_file(), list) == ["crane (0)", "drake", "crane (2)", "owl"]
    assert {row.label for shard in SHARDS for row in read_index(artifacts.index_file(shard))} == {0, 2}
    counts = artifacts.read_json(artifacts.summary_file("index"))["classes"]
    images = {name: sum(splits.values()) for name, splits in counts.items()}
    assert images == {"crane (0)": 20, "drake": 0, "crane (2)": 20, "owl": 0}


def test_neither_index_nor_shards_imports_torch_or_pandera() -> None:
    script = (
        "import sys, rectok.stages.index, rectok.stages.shards, rectok.data.tensors; "
        "print([name for name in ('torch', 'pandera', 'sklearn', 'boto3') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
