from pathlib import Path

import pytest

from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from tests.storage.server import BUCKET

AUTO = Labels("auto")

NAMES = {
    "train/cat/1.png": ("cat", "train"),
    "train/dog/deep/2.jpg": ("dog", "train"),
    "validation/cat/3.png": ("cat", "val"),
    "test/dog/letter.txt": ("dog", "test"),
}
IGNORED = ("README.md", ".hidden/cat/1.png", "train/cat/.DS_Store")


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    names = (*NAMES, *IGNORED)
    if request.param == "local":
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(name.encode())
        return str(tmp_path)
    client = request.getfixturevalue("bucket")
    for name in names:
        client.put_object(Bucket=BUCKET, Key=f"pets/{name}", Body=name.encode())
    return f"s3://{BUCKET}/pets"


def test_folders_name_labels_and_splits(root: str) -> None:
    items = list(open_source(root).items(AUTO))
    assert {item.uri: (item.label, item.split) for item in items} == NAMES
    assert [item.uri for item in items] == sorted(NAMES)
    assert all(item.read() == item.uri.encode() for item in items)


def test_images_are_read_again_by_uri(root: str) -> None:
    wanted = ["validation/cat/3.png", "train/cat/1.png"]
    assert [(uri, read()) for uri, read in open_source(root).read(wanted)] == [(uri, uri.encode()) for uri in wanted]


def test_folders_called_like_splits_may_be_labels(tmp_path: Path) -> None:
    for label in ("train", "bus"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").touch()
    assert {(item.label, item.split) for item in open_source(str(tmp_path)).items(AUTO)} == {
        ("train", None),
        ("bus", None),
    }
