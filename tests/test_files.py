import errno
import os
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.files import is_disk_full, replacing, write_bytes, write_text


def test_a_new_file_has_its_content_and_plain_rights(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "ä")
    assert path.read_bytes() == "ä".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_bytes(b"half of the ne")
        raise error
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_and_what_it_shows_stays(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"old")
    (tmp_path / "file").symlink_to(tmp_path / "cache")
    write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "cache").read_bytes() == b"old"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told(tmp_path: Path, number: int) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(UserError, match=rf"the disk is full while writing {path}; free some space"), replacing(path):
        raise OSError(number, os.strerror(number))
    assert path.read_bytes() == b"old"


def test_what_a_full_disk_is() -> None:
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
