"""One interface over local paths and s3:// URIs. What is written appears whole or not at all."""

import hashlib
import io
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rectok.errors import UserError
from rectok.files import replacing
from rectok.storage import s3
from rectok.storage.client import S3
from rectok.storage.hashing import sha256_file

CHUNK = 2**20


@dataclass(frozen=True)
class StoredFile:
    """A file below a prefix: `name` relative to it with forward slashes, and its size in bytes."""

    name: str
    size: int


def is_remote(uri: str) -> bool:
    """Whether `uri` names an object and not a path."""
    return uri.startswith(S3)


def below(prefix: str, name: str) -> str:
    """The URI of the file `name` below a folder or prefix."""
    return f"{prefix.rstrip('/')}/{name}"


@contextmanager
def open_binary(uri: str) -> Iterator[BinaryIO]:
    """A seekable stream over a local file or one version of an object. Raises UserError when it cannot be read."""
    with io.BufferedReader(s3.ObjectFile(uri), s3.FIRST_BLOCK) if is_remote(uri) else _open_local(uri) as file:
        yield file


def read_bytes(uri: str) -> bytes:
    """The whole content of `uri`. Raises UserError naming it when it cannot be read."""
    if is_remote(uri):
        return s3.read_whole(uri)
    try:
        with open(uri, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as the reading
            return file.read()
    except OSError as error:
        raise UserError(f"{uri} cannot be read: {error.strerror}") from None


def list_files(prefix: str) -> Iterator[StoredFile]:
    """All files below the folder or s3:// `prefix`, in the order of their names; holds one page or folder at a time."""
    if is_remote(prefix):
        yield from (StoredFile(found.name, found.size) for found in s3.list_objects(prefix.rstrip("/") + "/"))
        return
    if not Path(prefix).is_dir():
        raise UserError(f"{prefix} is not a folder")
    yield from _walked(prefix, "")


def direct_files(prefix: str) -> Iterator[str]:
    """Names of the files that lie directly in a folder or below a prefix, in any order; none where there is no folder."""
    if is_remote(prefix):
        yield from (found.name for found in s3.list_objects(prefix.rstrip("/") + "/", deep=False))
        return
    if Path(prefix).is_dir():
        with os.scandir(prefix) as entries:
            yield from (entry.name for entry in entries if entry.is_file())


class Ranges:
    """Random access to the bytes of a local file or of one version of an object; for any number of threads.

    A pickled or forked copy opens it anew. Raises UserError when it cannot be read or has not `size` bytes.
    """

    def __init__(self, uri: str, size: int | None = None) -> None:
        self.uri, self.size = uri, size
        self._version: s3.Version | None = None
        self._content: mmap.mmap | bytes | None = None

    def __reduce__(self) -> tuple[type["Ranges"], tuple[str, int | None]]:
        return type(self), (self.uri, self.size)

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`; fewer where a local file ends before."""
        if not is_remote(self.uri):
            return self._mapped()[start : start + size]
        if self._version is None:
            found = s3.version(self.uri)
            self._check(found.size)
            self._version = found
        return s3.read_range(self.uri, start, size, self._version)

    def _mapped(self) -> mmap.mmap | bytes:
        if self._content is None:
            if self.size is not None:
                _open_local(self.uri).close()
            with Path(self.uri).open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                self._check(length)
                self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if length else b""
        return self._content

    def _check(self, found: int) -> None:
        if self.size not in (None, found):
            raise UserError(
                f"{self.uri} has {found} bytes, but {self.size} were written; restore it, or write it again"
            )


def publish(path: Path, uri: str) -> None:
    """Write the content of the file `path` to `uri`, in place of what is there."""
    if is_remote(uri):
        s3.upload(path, uri)
        return
    with replacing(Path(uri)) as temporary:
        shutil.copyfile(path, temporary)


def remove(uri: str) -> None:
    """Remove a file or an object, if it is there."""
    if is_remote(uri):
        s3.delete(uri)
    else:
        Path(uri).unlink(missing_ok=True)


def remove_below(prefix: str) -> None:
    """Remove a folder, or all objects below a prefix, if there are any."""
    if is_remote(prefix):
        s3.delete_below(prefix.rstrip("/") + "/")
    else:
        shutil.rmtree(prefix, ignore_errors=True)


def fetch(uri: str, sha256: str, to: Path) -> None:
    """Copy `uri` to the file `to`, which appears only if its content hashes to `sha256` (hex), else UserError."""
    digest = hashlib.sha256()
    with open_binary(uri) as source, replacing(to) as temporary, temporary.open("wb") as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
        _require(uri, digest.hexdigest(), sha256)


@contextmanager
def verified(uri: str, sha256: str) -> Iterator[Path]:
    """A file whose content hashes to `sha256` (hex), else UserError: `uri` itself, or a copy that lasts as long."""
    if is_remote(uri):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "object"
            fetch(uri, sha256, copy)
            yield copy
        return
    _open_local(uri).close()
    _require(uri, sha256_file(Path(uri)), sha256)
    yield Path(uri)


def _require(uri: str, found: str, sha256: str) -> None:
    if found != sha256.lower():
        raise UserError(f"{uri} has sha256 {found}, but {sha256 or 'none'} was expected")


def _open_local(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _walked(folder: str, name: str) -> Iterator[StoredFile]:
    """Files below `folder`, whose own name below the root is `name`: like objects, in the order of whole names."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(_sized(entry) for entry in entries if entry.is_dir() or entry.is_file())
    except OSError as error:
        raise UserError(f"{folder} cannot be listed: {error.strerror}") from None
    for each, size in found:
        if each.endswith("/"):
            yield from _walked(f"{folder}/{each[:-1]}", f"{name}{each}")
        else:
            yield StoredFile(name + each, size)


def _sized(entry: "os.DirEntry[str]") -> tuple[str, int]:
    """Name and size; a folder sorts as its files do, by a name that goes on with a slash."""
    return (f"{entry.name}/", 0) if entry.is_dir() else (entry.name, entry.stat().st_size)
