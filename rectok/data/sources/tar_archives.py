"""Tar files, compressed or not; offsets count in the uncompressed stream."""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rectok.data.sources.archive import Archive, Member
from rectok.errors import UserError
from rectok.storage import open_binary

_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


class Tar(Archive):
    """Images inside tar files; `where` is `offset+size`."""

    @contextmanager
    def _members(self, name: str) -> Iterator[Iterator[Member]]:
        with self._opened(name) as tar:
            yield self._walked(tar, name)

    def _walked(self, tar: tarfile.TarFile, name: str) -> Iterator[Member]:
        while found := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep every header
            if found.isreg():
                where = (found.offset_data, found.size)
                read = partial(_bytes_at, tar, name, *where)
                yield Member(found.name.removeprefix("./"), "{}+{}".format(*where), read)
        self._check_end(tar, name)

    def _again(self, name: str, wanted: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        with self._opened(name) as tar:
            for where, uri in sorted((_place(where), uri) for where, _, uri in wanted):
                yield uri, partial(bytes, _bytes_at(tar, name, *where))

    @contextmanager
    def _opened(self, name: str) -> Iterator[tarfile.TarFile]:
        try:
            with open_binary(self.path(name)) as file, tarfile.open(fileobj=file) as tar:
                yield tar
        except _DAMAGE as error:
            raise UserError(f"{self.path(name)} cannot be read as a tar file: {error}") from None

    def _check_end(self, tar: tarfile.TarFile, name: str) -> None:
        """The library takes a file that was cut between two members, or is damaged there, for a whole one."""
        stream = tar.fileobj
        assert stream is not None
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise UserError(f"{self.path(name)} ends without a tar file's end mark; copy it again")


def _place(where: str) -> tuple[int, int]:
    offset, _, size = where.partition("+")
    return int(offset), int(size)


def _bytes_at(tar: tarfile.TarFile, name: str, offset: int, size: int) -> bytes:
    stream = tar.fileobj
    assert stream is not None
    stream.seek(offset)
    content = stream.read(size)
    if len(content) != size:
        raise UserError(f"{name} ends in the middle of a file; copy it again")
    return content
