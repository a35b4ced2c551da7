import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rectok.errors import UserError
from rectok.files import refusal, replacing, write_bytes, write_text
from tests.cli.project import refused
from tests.errors import user_error


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
    with user_error(rf"the disk is full while writing {path}; free some space"), replacing(path):
        raise OSError(number, os.strerror(number))
    assert path.read_bytes() == b"old"


def test_a_refusal_of_the_system_is_known_from_the_words_of_a_library() -> None:
    full, large = (refusal(OSError(number, "")) for number in (errno.ENOSPC, errno.EFBIG))
    assert full and refusal(RuntimeError("I/O error: No space left on device (os error 28)")) == full
    assert large and refusal(RuntimeError("I/O error: File too large (os error 27)")) == large
    assert refusal(OSError(errno.EACCES, "Permission denied")) is None


@pytest.fixture
def small_files() -> Iterator[int]:
    """Within the test, no file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    yield 10_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_limit_of_file_sizes_is_a_sentence_and_keeps_the_old_file(tmp_path: Path, small_files: int) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(
        UserError, match=rf"a file may not grow that large here while writing {path}; raise `ulimit -f`"
    ):
        write_bytes(path, bytes(small_files + 1))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_read_only_disk_is_a_sentence_of_the_command_line(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    mount = ("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path)
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        said = refused(tmp_path, "init", "digits")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert said.startswith("the disk is read-only while writing ")
    assert said.endswith("; make it writable and run the command again")
