"""One read interface for local paths and s3:// URIs; boto3 finds endpoint, region and keys (AWS_ENDPOINT_URL …)."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from rectok.errors import UserError
from rectok.files import replacing
from rectok.storage.hashing import sha256_file

S3 = "s3://"
CHUNK = 2**20


@dataclass(frozen=True)
class StoredFile:
    """A file below a prefix: `name` relative to it with forward slashes, and its size in bytes."""

    name: str
    size: int


@contextmanager
def open_binary(uri: str) -> Iterator[BinaryIO]:
    """A readable stream over a local file or an object. Raises UserError naming `uri` when it cannot be read."""
    if not uri.startswith(S3):
        with _open_local(uri) as file:
            yield file
        return
    with _explained(uri):
        body = _client().get_object(**_address(uri))["Body"]
        with body:
            yield cast(BinaryIO, body)


def read_bytes(uri: str) -> bytes:
    """The whole content of `uri`. Raises UserError naming it when it cannot be read."""
    with open_binary(uri) as file:
        return file.read()


def list_files(prefix: str) -> Iterator[StoredFile]:
    """All files below the folder or s3:// `prefix`, in the order of their names, page by page."""
    if prefix.startswith(S3):
        yield from _list_objects(prefix.rstrip("/") + "/")
        return
    root = Path(prefix)
    if not root.is_dir():
        raise UserError(f"{prefix} is not a folder")
    for path in sorted((p for p in root.rglob("*") if p.is_file()), key=lambda p: p.relative_to(root).as_posix()):
        yield StoredFile(path.relative_to(root).as_posix(), path.stat().st_size)


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
    if uri.startswith(S3):
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


def _list_objects(prefix: str) -> Iterator[StoredFile]:
    address = _address(prefix)
    with _explained(prefix):
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=address["Bucket"], Prefix=address["Key"])
        for page in pages:
            for found in page.get("Contents", []):
                name = found["Key"].removeprefix(address["Key"])
                if name and not name.endswith("/"):  # a name that ends in a slash is a folder's marker
                    yield StoredFile(name, found["Size"])


def _address(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix(S3).partition("/")
    return {"Bucket": bucket, "Key": key}


@lru_cache(maxsize=1)
def _client() -> Any:
    import boto3  # half a second, which only those who use an object store pay
    from botocore.config import Config

    return boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=32))


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"{uri} cannot be read: {' '.join(str(error).split())}") from None
