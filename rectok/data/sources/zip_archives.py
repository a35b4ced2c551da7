"""Zip files. Their directory, at the end of the file, is held in memory: about half a kilobyte for each image."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rectok.data.sources.archive import Archive, Member
from rectok.errors import UserError
from rectok.storage import open_binary

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
"""RuntimeError is an encrypted file, NotImplementedError an unknown compression."""


class Zip(Archive):
    """Images inside zip files; a member is found again by its name."""

    @contextmanager
    def _members(self, name: str) -> Iterator[Iterator[Member]]:
        with self._opened(name) as file:
            infos = (info for info in file.infolist() if not info.is_dir())
            yield (Member(info.filename.removeprefix("./"), "", partial(file.read, info)) for info in infos)

    def _again(self, name: str, wanted: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, Callable[[], bytes]]]:
        asked = {member: uri for _, member, uri in wanted}
        with self._opened(name) as file:
            for info in file.infolist():
                uri = asked.pop(info.filename.removeprefix("./"), None)
                if uri is not None:
                    yield uri, partial(bytes, file.read(info))
        if asked:
            raise UserError(f"{min(asked)} is not in {self.path(name)} any more; run the stage `index` again")

    @contextmanager
    def _opened(self, name: str) -> Iterator[zipfile.ZipFile]:
        try:
            with open_binary(self.path(name)) as file, zipfile.ZipFile(file) as opened:
                yield opened
        except _DAMAGE as error:
            raise UserError(f"{self.path(name)} cannot be read as a zip file: {error}") from None
