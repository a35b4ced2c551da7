import hashlib
from pathlib import Path

import pytest

from rectok.storage import hashing
from rectok.storage.hashing import fingerprint, sha256_file


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 100_000)
    assert sha256_file(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def make(root: Path) -> list[Path]:
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "folder" / "deep" / "a").write_bytes(b"1")
    (root / "folder" / "b").write_bytes(b"2")
    (root / "file").write_bytes(b"3")
    return [root / "folder", root / "file"]


def test_equal_content_elsewhere_has_the_same_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(make(tmp_path / "x")) == fingerprint(make(tmp_path / "y"))


@pytest.mark.parametrize("change", ["content", "name", "new", "salt"])
def test_any_change_changes_the_fingerprint(tmp_path: Path, change: str) -> None:
    paths = make(tmp_path)
    before = fingerprint(paths)
    if change == "content":
        (tmp_path / "folder" / "deep" / "a").write_bytes(b"4")
    if change == "name":
        (tmp_path / "folder" / "b").rename(tmp_path / "folder" / "c")
    if change == "new":
        (tmp_path / "folder" / "z").touch()
    assert fingerprint(paths, "salt" if change == "salt" else "") != before


def test_of_large_files_only_the_edges_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "WHOLE_BELOW", 100)
    monkeypatch.setattr(hashing, "EDGE", 10)
    path = tmp_path / "large"

    def of(content: bytes) -> str:
        path.write_bytes(content)
        return fingerprint([path])

    before = of(b"a" * 200)
    assert of(b"a" * 100 + b"b" + b"a" * 99) == before
    assert of(b"b" + b"a" * 199) != before
    assert of(b"a" * 199 + b"b") != before
    assert of(b"a" * 201) != before
