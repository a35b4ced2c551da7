"""Zip files. Memory holds their directory, about half a kilobyte for each image."""

import posixpath
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO

from rectok.data.sources.archive import Archives, MemberUri
from rectok.data.sources.image_source import Readable
from rectok.data.sources.labels import Labels
from rectok.data.sources.metadata_tables import is_metadata, open_metadata
from rectok.data.sources.names import is_hidden
from rectok.data.sources.samples import ArchiveMember, member_name
from rectok.errors import UserError
from rectok.storage.objects import open_binary

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
"""zipfile raises RuntimeError for an encrypted file and NotImplementedError for an unknown compression."""


class ZipArchives(Archives):
    """Images in zip files. A member has no position, since its name is enough."""

    @contextmanager
    def _members(self, name: str) -> Iterator[Iterator[ArchiveMember]]:
        with self._open(name) as file:
            infos = (info for info in file.infolist() if not info.is_dir())
            yield (_member(file, info) for info in infos)

    @contextmanager
    def _tables(self, name: str, labels: Labels) -> Iterator[Labels]:
        if labels.setting != "auto" and not labels.column:
            yield labels
            return
        with self._open(name) as file:
            infos = {_name(info): info for info in file.infolist()}
            tables = sorted(member for member in infos if is_metadata(member) and not is_hidden(member))
            root = self.path(name)
            with open_metadata(
                root, tables, labels, lambda path: BytesIO(file.read(infos[path.removeprefix(f"{root}/")]))
            ) as each:
                yield each

    def _read_members(self, name: str, members: Sequence[MemberUri]) -> Iterator[Readable]:
        uris = {member.member: member.uri for member in members}
        with self._open(name) as file:
            for info in file.infolist():
                if uri := uris.pop(_name(info), None):
                    yield uri, partial(bytes, file.read(info))
        if uris:
            raise UserError(f"{min(uris)} is not in {self.path(name)} any more; run the stage `index` again")

    @contextmanager
    def _open(self, name: str) -> Iterator[zipfile.ZipFile]:
        try:
            with open_binary(self.path(name)) as stream, zipfile.ZipFile(stream) as file:
                yield file
        except _DAMAGE as error:
            raise UserError(f"{self.path(name)} cannot be read as a zip file: {error}") from None


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a file. Some programs of Windows write backslashes, which the format forbids (APPNOTE 4.4.17.1)."""
    return member_name(info.filename.replace("\\", "/"))


def _member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArchiveMember:
    name, link = _name(info), None
    if stat.S_ISLNK(info.external_attr >> 16):
        link = member_name(posixpath.join(posixpath.dirname(name), file.read(info).decode(errors="replace")))
    return ArchiveMember(name, "", partial(file.read, info), link)
