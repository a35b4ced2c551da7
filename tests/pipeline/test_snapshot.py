"""What is kept of a status, and which changes of files end it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rectok.pipeline.snapshot import FILE, remember, remembered

CONTENT = {"stages": {"a": [1, 2]}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with files of its own and in a folder."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "raw/deep").mkdir(parents=True)
    for name in ("dvc.yaml", "raw/one", "raw/deep/two"):
        (tmp_path / name).write_text(name)
    return tmp_path


def settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No system call sets ctime back, so the files settle at once."""
    monkeypatch.setattr("rectok.pipeline.snapshot.SETTLED_NS", -(10**12))
    remember(root, ["raw", "later.dvc"], CONTENT)


def put_in_place(root: Path) -> None:
    """The same content, size and times in another file."""
    path, other = root / "raw/one", root / "other"
    other.write_text(path.read_text())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "raw/deep/two").write_text("raw/deep/tw0"),
        lambda root: (root / "raw/deep/three").touch(),
        lambda root: (root / "raw/one").unlink(),
        lambda root: (root / "later.dvc").touch(),
        lambda root: (root / "dvc.yaml").write_text("dvc,yaml"),
        lambda root: (root / ".dvc/config").touch(),
        put_in_place,
        lambda root: (root / FILE).write_text("{}"),
        lambda root: (root / FILE).write_text('{"signature": '),
    ],
)
def test_it_holds_until_a_file_changes(
    root: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(root, monkeypatch)
    assert remembered(root) == CONTENT
    change(root)
    assert remembered(root) is None


def test_nothing_is_kept_right_after_a_change_nor_outside_of_a_project(root: Path, tmp_path: Path) -> None:
    remember(root, ["raw"], CONTENT)
    assert not (root / FILE).exists()
    remember(tmp_path / "raw", ["one"], CONTENT)
    assert remembered(tmp_path / "raw") is None


def test_a_file_that_goes_while_it_is_looked_at_is_one_that_is_not_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def vanishing(path: str) -> list[os.DirEntry[str]]:
        entries = list(listed(path))
        (root / "raw/one").unlink(missing_ok=True)
        return entries

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", vanishing)
        settled(root, patch)
    (root / "raw/one").write_text("raw/one")
    assert (root / FILE).exists() and remembered(root) is None
