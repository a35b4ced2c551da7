"""From the value of `index.source` to a source."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from rectok.data.sources.image_source import ImageSource
from rectok.data.sources.names import PackedKind, kind_of
from rectok.data.sources.source_folder import SourceFolder
from rectok.errors import UserError
from rectok.storage.objects import is_remote

DIGITS = "sklearn:digits"
_CHOICES = (
    "sklearn:digits, a folder or s3:// prefix of image, parquet, tar or zip files, or one parquet, tar or zip file"
)


def open_source(source: str, choice: str = "") -> ImageSource:
    """The source that `index.source` names. `choice` is `index.image`. Raises UserError if there is none."""
    if source == DIGITS:
        from rectok.data.sources.digits import Digits

        return Digits()
    if not is_remote(source) and not Path(source).exists():
        raise UserError(f"index.source {source} does not exist; it can be {_CHOICES}")
    is_file = kind_of(source) not in (None, "image") if is_remote(source) else Path(source).is_file()
    return _open_file(source, choice) if is_file else _open_folder(source, choice)


def is_local(path: str) -> bool:
    """Whether a source or a table of labels is a path on this machine."""
    return path != DIGITS and not is_remote(path)


def _open_folder(root: str, choice: str) -> ImageSource:
    folder = SourceFolder(root)
    if folder.kind is None or folder.kind == "image":
        from rectok.data.sources.image_files import ImageFiles

        return ImageFiles(folder)
    return _open_packed(folder.kind, root, folder.packed_names, choice)


def _open_file(path: str, choice: str) -> ImageSource:
    root, _, name = path.rpartition("/")
    kind = kind_of(name)
    if kind is None or kind == "image":
        raise UserError(f"index.source {path} is a file of an unknown kind; it can be {_CHOICES}")
    return _open_packed(kind, root or ("/" if path.startswith("/") else "."), lambda: [name], choice)


def _open_packed(kind: PackedKind, root: str, list_names: Callable[[], list[str]], choice: str) -> ImageSource:
    match kind:
        case "parquet":
            from rectok.data.sources.parquet_files import ParquetFiles

            return ParquetFiles(root, list_names, choice)
        case "zip":
            from rectok.data.sources.zip_archives import ZipArchives

            return ZipArchives(root, list_names, choice)
        case "tar":
            from rectok.data.sources.tar_archives import TarArchives

            return TarArchives(root, list_names, choice)
        case _:
            assert_never(kind)
