"""Tar files, compressed or not. Offsets count in the uncompressed stream."""

import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rectok.data.sources.archive import Archives, MemberUri
from rectok.data.sources.image_source import Readable
from rectok.data.sources.samples import ArchiveMember, member_name
from rectok.errors import UserError
from rectok.storage.objects import open_binary

_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


class TarArchives(Archives):
    """Images in tar files. A member's position is `offset+size`."""

    holds_samples = True

    @contextmanager
    def _members(self, name: str) -> Iterator[Iterator[ArchiveMember]]:
        with self._open(name) as tar:
            yield self._walk(tar, name)

    def _walk(self, tar: tarfile.TarFile, name: str) -> Iterator[ArchiveMember]:
        while info := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep every header
            offset, size, member = info.offset_data, info.size, member_name(info.name)
            read = partial(_read_at, tar, name, offset, size)
            if info.isreg():
                yield ArchiveMember(member, f"{offset}+{size}", read)
            elif info.issym() or info.islnk():
                folder = posixpath.dirname(member) if info.issym() else ""
                yield ArchiveMember(member, "", read, member_name(posixpath.join(folder, info.linkname)))
        self._check_end(tar, name)

    def _read_members(self, name: str, members: Sequence[MemberUri]) -> Iterator[Readable]:
        with self._open(name) as tar:
            for (offset, size), uri in sorted((_offset_and_size(member.position), member.uri) for member in members):
                yield uri, partial(bytes, _read_at(tar, name, offset, size))

    @contextmanager
    def _open(self, name: str) -> Iterator[tarfile.TarFile]:
        try:
            with open_binary(self.path(name)) as file, tarfile.open(fileobj=file) as tar:
                yield tar
        except _DAMAGE as error:
            raise UserError(f"{self.path(name)} cannot be read as a tar file: {error}") from None

    def _check_end(self, tar: tarfile.TarFile, name: str) -> None:
        """tarfile does not notice if a file is cut between two members, or damaged there."""
        stream = tar.fileobj
        assert stream is not None
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise UserError(f"{self.path(name)} ends without a tar file's end mark; copy it again")


def _offset_and_size(position: str) -> tuple[int, int]:
    offset, _, size = position.partition("+")
    return int(offset), int(size)


def _read_at(tar: tarfile.TarFile, name: str, offset: int, size: int) -> bytes:
    stream = tar.fileobj
    assert stream is not None
    stream.seek(offset)
    content = stream.read(size)
    if len(content) != size:
        raise UserError(f"{name} ends in the middle of a file; copy it again")
    return content
