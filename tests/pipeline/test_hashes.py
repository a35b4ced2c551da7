"""A file is hashed once, and again whenever it may have changed."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rectok.pipeline import hashes
from rectok.pipeline.hashes import DATABASE, hash_of, hashes_of
from rectok.storage.hashing import sha256_file
from tests.pipeline.test_damage import flip

FORGED = "0" * 64


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose hash is remembered, wrongly, so that it shows where the file was not read again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hashes, "SETTLED_NS", 0)
    Path("data").mkdir()
    Path("weights").write_bytes(b"weights")
    assert hash_of(Path("weights")) == sha256_file(Path("weights"))
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("update hashes set sha256 = ?", (FORGED,))
    return Path("weights")


def touch_and_put_back(path: Path) -> None:
    """Write the same bytes, and put the times back."""
    status = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def test_a_file_that_stays_as_it_is_is_read_once(file: Path) -> None:
    Path("other").write_bytes(b"other")
    assert hashes_of([file, Path("other")]) == {"weights": FORGED, "other": sha256_file(Path("other"))}
    os.link(file, "linked")  # changes ctime
    assert hash_of(Path("linked")) == sha256_file(file)


@pytest.mark.parametrize("change", [flip, touch_and_put_back, replace, lambda path: path.chmod(0o600)])
def test_a_file_that_may_have_changed_is_read_again(file: Path, change: Callable[[Path], object]) -> None:
    change(file)
    assert hash_of(file) == sha256_file(file)


def test_a_file_that_has_just_changed_is_not_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "SETTLED_NS", 10**12)
    new = Path("new")
    new.write_bytes(b"new")
    hash_of(new)
    with closing(sqlite3.connect(DATABASE)) as database:
        assert database.execute("select inode from hashes").fetchall() == [(file.stat().st_ino,)]


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_damaged_database_costs_time_and_nothing_else(file: Path, content: bytes) -> None:
    DATABASE.write_bytes(content)
    assert hash_of(file) == sha256_file(file)


def test_nothing_is_remembered_outside_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights").write_bytes(b"weights")
    assert hash_of(Path("weights")) == sha256_file(Path("weights"))
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
