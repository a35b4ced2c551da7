"""Atomic writes: a file or folder appears whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rectok.errors import UserError

_FULL = ("the disk is full", "free some space")
REFUSALS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: ("a file may not grow that large here", "raise `ulimit -f` or use another disk"),
    errno.EROFS: ("the disk is read-only", "make it writable"),
}
"""Errors with which a system refuses a write: what they mean, and what helps."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file, flushed to take the place of `path` on success, else removed. Raises UserError for a full disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    with _cleaned_up(path, partial(temporary.unlink, missing_ok=True)):
        yield temporary
        temporary.chmod(0o644)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder, which takes the place of `path` on success, else is removed. Raises UserError for a full disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    old = temporary.with_suffix(".old")
    with _cleaned_up(path, partial(shutil.rmtree, temporary, ignore_errors=True)):
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            sync(file)
        if path.exists():
            path.replace(old)
        temporary.replace(path)
        sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _cleaned_up(path: Path, remove: Callable[[], None]) -> Iterator[None]:
    """After an error call `remove`. Raises UserError in place of the error if the system refused the write."""
    try:
        yield
    except BaseException as error:
        remove()
        if reason := refusal(error):
            raise UserError(f"{reason[0]} while writing {path}; {reason[1]} and run the command again") from error
        raise


def version_of(path: Path) -> tuple[int, ...]:
    """Inode, size, and times in ns of the last modification and status change, which differ between versions; () for no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refusal(error: BaseException) -> tuple[str, str] | None:
    """Why the system refused a write, and what helps, from its error or one of a library on top of it; None for other errors."""
    number = error.errno if isinstance(error, OSError) else None
    return next((REFUSALS[n] for n in REFUSALS if n == number or os.strerror(n) in str(error)), None)
