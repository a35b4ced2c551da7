from pathlib import Path

import pytest

from rectok.data.sources.opening import open_source
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated, read_images, write_tar


@pytest.mark.parametrize("name", ["pets.tar", "pets.tar.gz"])
def test_folders_name_labels_and_splits(tmp_path: Path, name: str) -> None:
    files = {"./train/cat/a.1.png": b"1", "./train/cat/a.2.png": b"22", "./val/dog/b.png": b"3", "README": b"no"}
    path = write_tar(tmp_path / name, files)
    images = read_images(path)
    assert [image[1:] for image in images] == [("cat", "train", b"1"), ("cat", "train", b"22"), ("dog", "val", b"3")]
    again = {uri: read() for uri, read in open_source(str(path)).read([images[2][0], images[0][0]])}
    assert again == {images[0][0]: b"1", images[2][0]: b"3"}
    assert images[0][0].endswith("/train/cat/a.1.png")


def test_webdataset_samples_carry_their_label(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "train-0.tar",
        {"0001.jpg": b"a", "0001.cls": b"7\n", "0001.json": b"{}", "0002.cls": b"3", "0002.png": b"b"},
    )
    write_tar(tmp_path / "test-0.tar", {"0001.cls": b"7", "0001.png": b"c"})
    assert annotated(tmp_path) == [("7", "test", b"c"), ("7", "train", b"a"), ("3", "train", b"b")]


def test_a_sample_needs_exactly_one_image(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"1.cls": b"0", "1.png": b"a", "1.jpg": b"b"})
    with pytest.raises(UserError, match=r"sample 1 in x\.tar has 2 images beside its label"):
        annotated(path)


def test_a_cut_tar_is_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"cat/1.png": bytes(2000)})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"x\.tar"):
        annotated(path)
    path.write_bytes(b"nothing like a tar")
    with pytest.raises(UserError, match=r"x\.tar cannot be read as a tar file"):
        annotated(path)
