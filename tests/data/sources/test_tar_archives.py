import io
import tarfile
from pathlib import Path

import pytest

from rectok.data.sources.labels import Labels
from rectok.data.sources.opening import open_source
from rectok.errors import UserError

AUTO = Labels("auto")


def write(path: Path, members: dict[str, bytes]) -> Path:
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["pets.tar", "pets.tar.gz"])
def test_folders_name_labels_and_splits(tmp_path: Path, name: str) -> None:
    members = {"./train/cat/a.1.png": b"1", "./train/cat/a.2.png": b"22", "./val/dog/b.png": b"3", "README": b"no"}
    source = open_source(str(write(tmp_path / name, members)))
    items = list(source.items(AUTO))
    assert [(i.label, i.split, i.read()) for i in items] == [
        ("cat", "train", b"1"),
        ("cat", "train", b"22"),
        ("dog", "val", b"3"),
    ]
    again = {uri: read() for uri, read in source.read([items[2].uri, items[0].uri])}
    assert again == {items[0].uri: b"1", items[2].uri: b"3"}
    assert items[0].uri.endswith("/train/cat/a.1.png")


def test_webdataset_samples_carry_their_label(tmp_path: Path) -> None:
    write(
        tmp_path / "train-0.tar",
        {"0001.jpg": b"a", "0001.cls": b"7\n", "0001.json": b"{}", "0002.cls": b"3", "0002.png": b"b"},
    )
    write(tmp_path / "test-0.tar", {"0001.cls": b"7", "0001.png": b"c"})
    found = [(i.label, i.split, i.read()) for i in open_source(str(tmp_path)).items(AUTO)]
    assert found == [("7", "test", b"c"), ("7", "train", b"a"), ("3", "train", b"b")]


def test_a_sample_needs_exactly_one_image(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", {"1.cls": b"0", "1.png": b"a", "1.jpg": b"b"})
    with pytest.raises(UserError, match=r"sample 1 in x\.tar has 2 images beside its label"):
        list(open_source(str(path)).items(AUTO))


def test_a_cut_tar_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", {"cat/1.png": bytes(2000)})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"x\.tar"):
        list(open_source(str(path)).items(AUTO))
    path.write_bytes(b"nothing like a tar")
    with pytest.raises(UserError, match=r"x\.tar cannot be read as a tar file"):
        list(open_source(str(path)).items(AUTO))
