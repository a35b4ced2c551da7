from pathlib import Path

import pytest

from rectok.data.sources.opening import open_source
from tests.data.sources.small_sources import annotated, read_images, write_folder
from tests.storage.server import BUCKET

FILES = {
    "train/cat/1.png": ("cat", "train"),
    "train/dog/deep/2.jpg": ("dog", "train"),
    "validation/cat/3.png": ("cat", "val"),
    "test/dog/letter.txt": ("dog", "test"),
}
IGNORED = ("README.md", ".hidden/cat/1.png", "train/cat/.DS_Store")


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    files = {name: name.encode() for name in (*FILES, *IGNORED)}
    if request.param == "local":
        return str(write_folder(tmp_path, files))
    client = request.getfixturevalue("bucket")
    for name, content in files.items():
        client.put_object(Bucket=BUCKET, Key=f"pets/{name}", Body=content)
    return f"s3://{BUCKET}/pets"


def test_folders_name_labels_and_splits(root: str) -> None:
    images = read_images(root)
    assert {uri: (label, split) for uri, label, split, _ in images} == FILES
    assert [uri for uri, *_ in images] == sorted(FILES)
    assert all(content == uri.encode() for uri, _, _, content in images)


def test_images_are_read_again_by_uri(root: str) -> None:
    uris = ["validation/cat/3.png", "train/cat/1.png"]
    assert [(uri, read()) for uri, read in open_source(root).read(uris)] == [(uri, uri.encode()) for uri in uris]


def test_folders_called_like_splits_may_be_labels(tmp_path: Path) -> None:
    source = write_folder(tmp_path, {"train/1.png": b"", "bus/1.png": b""})
    assert {image[:2] for image in annotated(source)} == {("train", None), ("bus", None)}
