"""Objects of an S3-compatible store: reads by range and version, listings page by page, atomic writes."""

import hashlib
import io
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rectok.errors import UserError
from rectok.storage import client
from rectok.storage.client import IncompleteAnswer, address, request
from rectok.storage.deadline import extend

PART = 16 * 2**20
"""Bytes of one part of an upload. A smaller file is sent in one request."""
PARALLEL_PARTS = 4
FIRST_BLOCK, LARGEST_BLOCK = 2**16, 2**23
"""Bytes per request of a stream: few after a seek, twice as many after each sequential read."""
DELETED_PER_REQUEST = 1000
PARTIAL = 206
"""The status of an answer that is a range."""
CHECKSUMS: Mapping[str, Callable[[bytes], bytes]] = {
    "ChecksumCRC32": lambda content: zlib.crc32(content).to_bytes(4, "big"),
    "ChecksumSHA1": lambda content: hashlib.sha1(content).digest(),
    "ChecksumSHA256": lambda content: hashlib.sha256(content).digest(),
}
"""Checksums of a whole object that a store may send, by their names in an answer."""


@dataclass(frozen=True)
class StoredFile:
    """A file below a folder or prefix: its `name` relative to that with forward slashes, and its size in bytes.

    `link` says whether a local file is a symbolic link.
    """

    name: str
    size: int
    link: bool = False


@dataclass(frozen=True)
class ObjectVersion:
    """Size in bytes and ETag of an object."""

    size: int
    tag: str


def current_version(uri: str) -> ObjectVersion:
    """The current version of an object. Raises UserError if there is none or it cannot be read."""

    def read_head(store: Any) -> ObjectVersion:
        from botocore.exceptions import ClientError

        try:
            head = store.head_object(**address(uri))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("400", "403"):  # the answer to GET has a body with the reason
                store.get_object(**address(uri), Range="bytes=0-0")["Body"].close()
            raise
        if head["ContentLength"] < 0:
            raise ValueError(f"a length of {head['ContentLength']} bytes")
        if head["ContentLength"] == 0:  # no read follows that would show another length
            answer = store.get_object(**address(uri))
            answer["Body"].close()
            if answer["ContentLength"]:
                raise ValueError(f"lengths of 0 and of {answer['ContentLength']} bytes")
        return ObjectVersion(head["ContentLength"], head["ETag"])

    return request(uri, "read", read_head)


def read_whole(uri: str) -> bytes:
    """An object's content in one request; a second one confirms that there is none."""

    def read(store: Any) -> bytes:
        content = _body(store.get_object(**address(uri)), None)
        if not content and (size := store.head_object(**address(uri))["ContentLength"]):
            raise ValueError(f"lengths of 0 and of {size} bytes")
        return content

    return request(uri, "read", read)


def read_range(uri: str, start: int, size: int, version: ObjectVersion) -> bytes:
    """`size` bytes from `start` of that version of an object. Raises UserError if a newer one has replaced it."""
    if size == 0:
        return b""
    headers = {"Range": f"bytes={start}-{start + size - 1}", "IfMatch": version.tag}
    return request(uri, "read", lambda store: _body(store.get_object(**address(uri), **headers), size, version))


def read_range_often(uri: str, start: int, size: int, version: ObjectVersion) -> bytes:
    """The same for an object of which many ranges are read: a signature serves them all. What fails is asked for as above."""
    from botocore.exceptions import HTTPClientError
    from urllib3.exceptions import HTTPError

    if not client.Signed.usable():
        return read_range(uri, start, size, version)
    try:
        answer = client.get_signed(uri, {"Range": f"bytes={start}-{start + size - 1}", "If-Match": version.tag})
        with answer.raw as stream:
            content = _read(stream, size) if answer.status_code == PARTIAL else b""
        if len(content) == size:
            return content
    except (HTTPClientError, HTTPError, OSError, IncompleteAnswer):
        pass
    client.Signed.refused()
    return read_range(uri, start, size, version)


def _body(answer: Any, size: int | None, version: ObjectVersion | None = None) -> bytes:
    from urllib3.exceptions import HTTPError

    expected = answer["ContentLength"] if size is None else size
    if answer["ContentLength"] < 0:
        raise ValueError(f"a length of {answer['ContentLength']} bytes")
    try:
        with answer["Body"] as stream:
            whole = answer.get("ContentRange", "").rpartition("/")[2]
            if version and whole.isdecimal() and int(whole) != version.size:
                raise ValueError(f"lengths of {version.size} and of {whole} bytes")
            content = _read(stream, expected)
    except (MemoryError, OverflowError):
        raise ValueError(f"a length of {answer['ContentLength']} bytes") from None
    except (HTTPError, OSError) as error:
        raise IncompleteAnswer(f"the answer broke off ({' '.join(str(error).split())})") from None
    if len(content) < answer["ContentLength"]:
        raise IncompleteAnswer(f"the answer broke off ({len(content)} of {answer['ContentLength']} bytes)")
    if len(content) != expected:
        raise IncompleteAnswer(f"the answer holds {len(content)} bytes in place of {expected}")
    if size is None:
        _require_checksum(answer, content)
    return content


def _require_checksum(answer: Any, content: bytes) -> None:
    """Raise IncompleteAnswer where an object has another checksum. Reads of botocore's stream, which looks too, wait too long."""
    for name, digest in CHECKSUMS.items():
        checksum = answer.get(name, "")
        if checksum and "-" not in checksum and b64encode(digest(content)).decode() != checksum:  # - marks one of parts
            raise IncompleteAnswer(f"the answer's {len(content)} bytes do not have its checksum")


def _read(stream: Any, expected: int) -> bytes:
    """All that comes until the end. Raises IncompleteAnswer where it comes so slowly that a new attempt is better."""
    began, patience = time.monotonic(), client.READ_TIMEOUT + expected / client.SLOWEST
    extend(client.CONNECT_TIMEOUT + patience)  # so that this ends first, which says more
    parts = []
    while part := stream.read1():
        parts.append(part)
        if time.monotonic() - began > patience:
            raise IncompleteAnswer(f"{sum(map(len, parts))} of {expected} bytes came in {patience:.0f} s")
    return b"".join(parts)


class ObjectFile(io.RawIOBase):
    """A seekable stream over one version of an object, read in ranges. Wrap it in io.BufferedReader."""

    def __init__(self, uri: str) -> None:
        self.uri, self.version = uri, current_version(uri)
        self._position = self._start = 0
        self._block, self._block_size = b"", FIRST_BLOCK

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move without reading."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.version.size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Copy from the current block. Returns the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._start <= self._position < self._start + len(self._block):
            self._read_block(len(view))
        content = self._block[self._position - self._start :][: len(view)]
        view[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _read_block(self, least: int) -> None:
        sequential = self._block and self._position == self._start + len(self._block)
        self._block_size = min(2 * self._block_size, LARGEST_BLOCK) if sequential else FIRST_BLOCK
        size = min(max(least, self._block_size), max(0, self.version.size - self._position))
        self._block = read_range(self.uri, self._position, size, self.version)
        self._start = self._position


def list_objects(prefix: str, deep: bool = True) -> Iterator[StoredFile]:
    """All objects whose key begins with `prefix`, in the order of keys; nothing below a further slash unless `deep`."""
    bucket, key = address(prefix).values()
    query = {"Bucket": bucket, "Prefix": key, **({} if deep else {"Delimiter": "/"})}
    while True:
        page = request(prefix, "listed", lambda store: _page(store.list_objects_v2(**query)))
        for entry in page.get("Contents", []):
            name = entry["Key"].removeprefix(key)
            if name and not name.endswith("/"):  # a name that ends in a slash marks a folder
                yield StoredFile(name, entry["Size"])
        if not page["IsTruncated"]:
            return
        query["ContinuationToken"] = page["NextContinuationToken"]


def _page(answer: dict[str, Any]) -> dict[str, Any]:
    """A page of a listing. Raises KeyError for an answer without content, which would look like an empty listing."""
    return {**answer, "IsTruncated": answer["IsTruncated"]}


def upload(path: Path, uri: str) -> None:
    """Write a file's content to `uri`, in parts with a SHA-256 each. The object appears whole or not at all.

    Raises UserError if it cannot be written, or if the file changes meanwhile.
    """
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=PARALLEL_PARTS)
    before = path.stat()

    def send(store: Any) -> None:
        with path.open("rb") as file:
            store.upload_fileobj(file, **address(uri), ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=config)
        stored = store.head_object(**address(uri))["ContentLength"]
        if stored != before.st_size:
            store.delete_object(**address(uri))
            raise IncompleteAnswer(f"{stored} of {before.st_size} bytes arrived")

    request(uri, client.WRITTEN, send)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        delete(uri)
        raise UserError(f"{path} changed while it was written to {uri}; run the command again")


def delete(uri: str) -> None:
    """Remove an object, if it is there."""
    request(uri, "removed", lambda store: store.delete_object(**address(uri)))


def delete_below(prefix: str) -> None:
    """Remove everything whose key begins with `prefix`."""
    while names := [file.name for file in islice(list_objects(prefix), DELETED_PER_REQUEST)]:
        _delete(prefix, names)


def _delete(prefix: str, names: list[str]) -> None:
    bucket, key = address(prefix).values()
    objects = {"Objects": [{"Key": key + name} for name in names], "Quiet": True}
    answer = request(prefix, "removed", lambda store: store.delete_objects(Bucket=bucket, Delete=objects))
    if answer.get("Errors"):
        raise UserError(f"{prefix} cannot be removed: {answer['Errors'][0].get('Message', 'access is denied')}")
