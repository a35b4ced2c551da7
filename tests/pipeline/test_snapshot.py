"""What is kept of a status, and which changes of files end it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rectok.pipeline.snapshot import FILE, Snapshot, remember, remembered

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
    remember(root, ["raw", "later.dvc"], CONTENT, time.time_ns())


def put_in_place(root: Path) -> None:
    """The same content, size and times in another file."""
    path, other = root / "raw/one", root / "other"
    other.write_text(path.read_text())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda root: (root / "raw/deep/two").write_text("raw/deep/tw0"), {"raw"}),
        (lambda root: (root / "raw/deep/three").touch(), {"raw"}),
        (lambda root: (root / "raw/one").unlink(), {"raw"}),
        (lambda root: (root / "later.dvc").touch(), {"later.dvc"}),
        (put_in_place, {"raw"}),
        (lambda root: (root / "dvc.yaml").write_text("dvc,yaml"), None),
        (lambda root: (root / ".dvc/config").touch(), None),
        (lambda root: (root / FILE).write_text("{}"), None),
        (lambda root: (root / FILE).write_text("[]"), None),
        (lambda root: (root / FILE).write_text('{"facts": '), None),
    ],
)
def test_it_holds_but_for_what_changes(
    root: Path, change: Callable[[Path], object], changed: set[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(root, monkeypatch)
    assert remembered(root) == Snapshot(CONTENT, frozenset())
    change(root)
    assert remembered(root) == (None if changed is None else Snapshot(CONTENT, frozenset(changed)))


def test_nothing_is_kept_right_after_a_change_nor_outside_of_a_project(root: Path, tmp_path: Path) -> None:
    remember(root, ["raw"], CONTENT, time.time_ns())
    assert not (root / FILE).exists()
    remember(tmp_path / "raw", ["one"], CONTENT, time.time_ns())
    assert remembered(tmp_path / "raw") is None


def test_nothing_is_kept_where_a_file_changed_while_all_were_read(root: Path) -> None:
    remember(root, ["raw"], CONTENT, time.time_ns() - 10**10)
    assert not (root / FILE).exists()
    remember(root, ["raw"], CONTENT, time.time_ns() + 10**10)
    assert remembered(root) == Snapshot(CONTENT, frozenset())


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
    snapshot = remembered(root)
    assert snapshot is not None and snapshot.changed == {"raw"}
