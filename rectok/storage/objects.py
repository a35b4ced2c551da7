"""One interface to local paths and s3:// URIs. Writes are atomic."""

import hashlib
import io
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import BinaryIO
from weakref import finalize

from rectok.errors import DamagedError, UserError
from rectok.files import replacing
from rectok.storage import s3
from rectok.storage.client import S3
from rectok.storage.hashing import sha256_file
from rectok.storage.s3 import StoredFile

CHUNK = 2**20
SMALL, HELD = 2**24, 2**28
"""Bytes of an object that is held in memory where it is read often, and of all such objects of a process, at most."""


def is_remote(uri: str) -> bool:
    """Whether `uri` names an object rather than a path."""
    return uri.startswith(S3)


def below(prefix: str, name: str) -> str:
    """The URI of the file `name` below a folder or prefix."""
    return f"{prefix.rstrip('/')}/{name}"


@contextmanager
def open_binary(uri: str) -> Iterator[BinaryIO]:
    """A seekable stream over a local file or one version of an object. Raises UserError if it cannot be read."""
    with io.BufferedReader(s3.ObjectFile(uri), s3.FIRST_BLOCK) if is_remote(uri) else _open_local(uri) as file:
        yield file


def read_bytes(uri: str) -> bytes:
    """The whole content of `uri`. Raises UserError if it cannot be read."""
    if is_remote(uri):
        return s3.read_whole(uri)
    try:
        with open(uri, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much time as the read
            return file.read()
    except OSError as error:
        raise UserError(f"{uri} cannot be read: {error.strerror}") from None


def list_files(prefix: str, dangling: bool = False) -> Iterator[StoredFile]:
    """All files below the folder or s3:// `prefix`, in the order of their names. Holds one page or folder at a time.

    With `dangling`, local links that lead to no file are listed too, with size 0.
    """
    if is_remote(prefix):
        return s3.list_objects(prefix.rstrip("/") + "/")
    if not Path(prefix).is_dir():
        raise UserError(f"{prefix} is not a folder")
    return _walk(prefix, "", dangling)


def direct_files(prefix: str) -> Iterator[str]:
    """Names of the files directly in a folder or below a prefix, in any order. None if there is no folder."""
    if is_remote(prefix):
        yield from (file.name for file in s3.list_objects(prefix.rstrip("/") + "/", deep=False))
        return
    if Path(prefix).is_dir():
        with os.scandir(prefix) as entries:
            yield from (entry.name for entry in entries if entry.is_file())


class _Memory:
    """What is left of `HELD` in this process."""

    def __init__(self) -> None:
        self.free, self.lock = HELD, RLock()  # to give may interrupt to take, in the same thread

    def taken(self, size: int) -> bool:
        """Take `size` bytes; False where fewer are free."""
        with self.lock:
            fits = size <= self.free
            self.free -= size * fits
            return fits

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self.lock:
            self.free += size


_memory = _Memory()


class Ranges:
    """Random access to the bytes of a local file or of one version of an object, for any number of threads.

    Of an object of which `often` is read, a small one is held in memory once a part of it is read. A pickled or forked copy
    opens it again. Raises UserError if it cannot be read or has not `size` bytes.
    """

    def __init__(self, uri: str, size: int | None = None, often: bool = False) -> None:
        self.uri, self.size, self.often = uri, size, often
        self._version: s3.ObjectVersion | None = None
        self._content: mmap.mmap | bytes | None = None
        self._lock = Lock()  # loaders fork their workers before they read

    def __reduce__(self) -> tuple[type["Ranges"], tuple[str, int | None, bool]]:
        return type(self), (self.uri, self.size, self.often)

    @property
    def here(self) -> bool:
        """Whether the content lies in memory."""
        return self._content is not None

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`, fewer if a local file ends before."""
        if not is_remote(self.uri):
            return self._mapped()[start : start + size]
        version = self._version or self._opened()
        if self._content is not None:
            return self._content[start : start + size]
        return (s3.read_range_often if self.often and size else s3.read_range)(self.uri, start, size, version)

    def _opened(self) -> s3.ObjectVersion:
        with self._lock:
            if self._version is None:
                version = s3.current_version(self.uri)
                self._check(version.size)
                if self.often and version.size <= SMALL and _memory.taken(version.size):
                    self._hold(version)
                self._version = version
            return self._version

    def _hold(self, version: s3.ObjectVersion) -> None:
        """Read all, for which memory is taken, and give that back when this is gone, or at once where the read fails."""
        try:
            self._content = s3.read_range(self.uri, 0, version.size, version)
        except BaseException:
            _memory.give(version.size)
            raise
        finalize(self, _memory.give, version.size).atexit = False

    def _mapped(self) -> mmap.mmap | bytes:
        if self._content is None:
            if self.size is not None:
                _open_local(self.uri).close()
            with Path(self.uri).open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                self._check(length)
                self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if length else b""
        return self._content

    def _check(self, size: int) -> None:
        if self.size not in (None, size):
            raise UserError(f"{self.uri} has {size} bytes, but {self.size} were written; restore it, or write it again")


def publish(path: Path, uri: str) -> None:
    """Write the content of the file `path` to `uri`, which may exist."""
    if is_remote(uri):
        s3.upload(path, uri)
        return
    with replacing(Path(uri)) as temporary:
        shutil.copyfile(path, temporary)


def remove(uri: str) -> None:
    """Remove a file or an object, if it exists."""
    if is_remote(uri):
        s3.delete(uri)
    else:
        Path(uri).unlink(missing_ok=True)


def remove_below(prefix: str) -> None:
    """Remove a folder, or all objects below a prefix, if they exist."""
    if is_remote(prefix):
        s3.delete_below(prefix.rstrip("/") + "/")
    else:
        shutil.rmtree(prefix, ignore_errors=True)


def fetch(uri: str, sha256: str, to: Path) -> None:
    """Copy `uri` to the file `to`. Raises DamagedError if the content does not hash to `sha256` (hex)."""
    digest = hashlib.sha256()
    with open_binary(uri) as source, replacing(to) as temporary, temporary.open("wb") as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
        _require(uri, digest.hexdigest(), sha256)


@contextmanager
def verified(uri: str, sha256: str) -> Iterator[Path]:
    """`uri` as a local file, itself or a copy for the context. Raises DamagedError unless it hashes to `sha256` (hex)."""
    if is_remote(uri):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "object"
            fetch(uri, sha256, copy)
            yield copy
        return
    _open_local(uri).close()
    _require(uri, sha256_file(Path(uri)), sha256)
    yield Path(uri)


def _require(uri: str, actual: str, sha256: str) -> None:
    if actual != sha256.lower():
        raise DamagedError(f"{uri} has sha256 {actual}, but {sha256 or 'none'} was expected")


def _open_local(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _walk(folder: str, name: str, dangling: bool) -> Iterator[StoredFile]:
    """Files below `folder`, whose own name below the root is `name`. Like objects they come in the order of whole names."""
    try:
        with os.scandir(folder) as entries:
            files = sorted(
                _file(entry)
                for entry in entries
                if entry.is_dir() or entry.is_file() or (dangling and entry.is_symlink())
            )
    except OSError as error:
        raise UserError(f"{folder} cannot be listed: {error.strerror}") from None
    for entry_name, size, link in files:
        if entry_name.endswith("/"):
            yield from _walk(f"{folder}/{entry_name[:-1]}", f"{name}{entry_name}", dangling)
        else:
            yield StoredFile(name + entry_name, size, link)


def _file(entry: "os.DirEntry[str]") -> tuple[str, int, bool]:
    """Name, size and link. The name of a folder ends in a slash, so that it sorts as the names of its files do."""
    if entry.is_dir():
        return f"{entry.name}/", 0, False
    return entry.name, entry.stat().st_size if entry.is_file() else 0, entry.is_symlink()
