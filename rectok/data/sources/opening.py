"""From the text of `index.source` to a source."""

from collections.abc import Sequence
from pathlib import Path

from rectok.data.sources.image_source import Source
from rectok.data.sources.source_folder import Kind, archives, kind_of, look
from rectok.errors import UserError
from rectok.storage import is_remote

DIGITS = "sklearn:digits"
_KINDS = "sklearn:digits, a folder or s3:// prefix of image, parquet, tar or zip files, or one parquet, tar or zip file"


def open_source(source: str) -> Source:
    """The source that `index.source` names. Raises UserError when there is nothing of that kind."""
    if source == DIGITS:
        from rectok.data.sources.digits import Digits

        return Digits()
    if not is_remote(source) and not Path(source).exists():
        raise UserError(f"index.source {source} does not exist; it can be {_KINDS}")
    is_file = kind_of(source) not in (None, "image") if is_remote(source) else Path(source).is_file()
    return _file(source) if is_file else _folder(source)


def is_local(path: str) -> bool:
    """Whether a source or a table of labels is a path on this machine."""
    return path != DIGITS and not is_remote(path)


def _folder(root: str) -> Source:
    """Image files, or the parquet, tar or zip files at any depth."""
    only = look(root)
    if only.kind and only.kind != "image":
        return _of(root, only.kind, archives(only))
    from rectok.data.sources.image_files import Files

    return Files(root, only)


def _file(path: str) -> Source:
    root, _, name = path.rpartition("/")
    kind = kind_of(name)
    if kind is None or kind == "image":
        raise UserError(f"index.source {path} is a file of an unknown kind; it can be {_KINDS}")
    return _of(root or ("/" if path.startswith("/") else "."), kind, [name])


def _of(root: str, kind: Kind, names: Sequence[str]) -> Source:
    """The source over files of one kind."""
    if kind == "parquet":
        from rectok.data.sources.parquet_files import Parquet

        return Parquet(root, names)
    if kind == "zip":
        from rectok.data.sources.zip_archives import Zip

        return Zip(root, names)
    from rectok.data.sources.tar_archives import Tar

    return Tar(root, names)
