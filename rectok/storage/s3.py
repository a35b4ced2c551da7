"""Objects of an S3-compatible store: read by range and version, listed page by page, written whole."""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rectok.errors import UserError
from rectok.storage.client import CutShort, address, attempted

PART = 16 * 2**20
"""Bytes of one part of an upload; a smaller file is sent at once."""
PARALLEL = 4
FIRST_BLOCK, LARGEST_BLOCK = 2**16, 2**23
"""Bytes that a stream reads at a time: few after a jump, more the longer it is read on."""
DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class Version:
    """What an object was when it was looked at: its size in bytes and its ETag."""

    size: int
    tag: str


@dataclass(frozen=True)
class Listed:
    """An object below a prefix: its key's rest and its size in bytes."""

    name: str
    size: int


def version(uri: str) -> Version:
    """The object's present version. Raises UserError when there is none or it cannot be read."""

    def look(client: Any) -> Version:
        from botocore.exceptions import ClientError

        try:
            head = client.head_object(**address(uri))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("400", "403"):  # such an answer has no body, hence no reason
                client.get_object(**address(uri), Range="bytes=0-0")["Body"].close()
            raise
        return Version(head["ContentLength"], head["ETag"])

    return attempted(uri, "read", look)


def read_whole(uri: str) -> bytes:
    """An object's content, in one request."""
    return attempted(uri, "read", lambda client: _body(client.get_object(**address(uri)), None))


def read_range(uri: str, start: int, size: int, of: Version) -> bytes:
    """`size` bytes from `start` of that version of an object. Raises UserError when another one has taken its place."""
    if size == 0:
        return b""
    wanted = {"Range": f"bytes={start}-{start + size - 1}", "IfMatch": of.tag}
    return attempted(uri, "read", lambda client: _body(client.get_object(**address(uri), **wanted), size))


def _body(answer: Any, size: int | None) -> bytes:
    from botocore.exceptions import BotoCoreError

    expected = answer["ContentLength"] if size is None else size
    try:
        with closing(answer["Body"]) as stream:
            content: bytes = stream.read()
    except BotoCoreError as error:
        raise CutShort(f"the answer broke off ({' '.join(str(error).split())})") from None
    if len(content) != expected:
        raise CutShort(f"the answer holds {len(content)} bytes in place of {expected}")
    return content


class ObjectFile(io.RawIOBase):
    """A seekable stream over one version of an object, read in ranges; wrap it in io.BufferedReader."""

    def __init__(self, uri: str) -> None:
        self.uri, self.version = uri, version(uri)
        self._position = self._start = 0
        self._block, self._ahead = b"", FIRST_BLOCK

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
        """Fill `buffer` as far as the present block goes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._start <= self._position < self._start + len(self._block):
            self._read_block(len(view))
        found = self._block[self._position - self._start :][: len(view)]
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _read_block(self, wanted: int) -> None:
        goes_on = self._block and self._position == self._start + len(self._block)
        self._ahead = min(2 * self._ahead, LARGEST_BLOCK) if goes_on else FIRST_BLOCK
        size = min(max(wanted, self._ahead), max(0, self.version.size - self._position))
        self._block = read_range(self.uri, self._position, size, self.version)
        self._start = self._position


def list_objects(prefix: str, deep: bool = True) -> Iterator[Listed]:
    """Everything whose key begins with `prefix`, in the order of keys; nothing below a further slash unless `deep`."""
    place, token = address(prefix), ""
    while True:
        page = _page(prefix, place, token, deep)
        for found in page.get("Contents", []):
            name = found["Key"].removeprefix(place["Key"])
            if name and not name.endswith("/"):  # a name that ends in a slash is a folder's marker
                yield Listed(name, found["Size"])
        if not page.get("IsTruncated"):
            return
        token = page["NextContinuationToken"]


def _page(prefix: str, place: dict[str, str], token: str, deep: bool) -> Any:
    wanted = {"Bucket": place["Bucket"], "Prefix": place["Key"]}
    wanted |= {"ContinuationToken": token} if token else {}
    wanted |= {} if deep else {"Delimiter": "/"}
    return attempted(prefix, "listed", lambda client: client.list_objects_v2(**wanted))


def upload(path: Path, uri: str) -> None:
    """Write a file's content to `uri`, in parts with a SHA-256 each; the object appears whole or not at all.

    Raises UserError when it cannot be written, or when the file changed meanwhile.
    """
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=PARALLEL)
    before = path.stat()

    def send(client: Any) -> None:
        with path.open("rb") as file:
            client.upload_fileobj(file, **address(uri), ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=config)
        stored = client.head_object(**address(uri))["ContentLength"]
        if stored != before.st_size:
            client.delete_object(**address(uri))
            raise CutShort(f"{stored} of {before.st_size} bytes arrived")

    attempted(uri, "written", send)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        delete(uri)
        raise UserError(f"{path} changed while it was written to {uri}; run the command again")


def delete(uri: str) -> None:
    """Remove an object, if it is there."""
    attempted(uri, "removed", lambda client: client.delete_object(**address(uri)))


def delete_below(prefix: str) -> None:
    """Remove everything whose key begins with `prefix`."""
    while names := [found.name for found in islice(list_objects(prefix), DELETED_AT_ONCE)]:
        _delete(prefix, names)


def _delete(prefix: str, names: list[str]) -> None:
    place = address(prefix)
    doomed = {"Objects": [{"Key": place["Key"] + name} for name in names], "Quiet": True}
    answer = attempted(prefix, "removed", lambda client: client.delete_objects(Bucket=place["Bucket"], Delete=doomed))
    if answer.get("Errors"):
        raise UserError(f"{prefix} cannot be removed: {answer['Errors'][0].get('Message', 'access is denied')}")
