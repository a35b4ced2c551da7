"""From the text of `index.source` to a source."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rectok.data.sources.item import Source
from rectok.errors import UserError
from rectok.storage import below, direct_files, is_remote

DIGITS = "sklearn:digits"
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_KINDS = "sklearn:digits, a folder or s3:// prefix of image, parquet, tar or zip files, or one parquet, tar or zip file"
PEEKED = 1000
"""Objects that tell of what kind a prefix is."""


def open_source(source: str) -> Source:
    """The source that `index.source` names. Raises UserError when there is nothing of that kind."""
    if source == DIGITS:
        from rectok.data.sources.digits import Digits

        return Digits()
    if not is_remote(source) and not Path(source).exists():
        raise UserError(f"index.source {source} does not exist; it can be {_KINDS}")
    is_file = source.endswith((".parquet", ".zip", *_TARS)) if is_remote(source) else Path(source).is_file()
    return _file(source) if is_file else _folder(source)


def is_local(path: str) -> bool:
    """Whether a source or a table of labels is a path on this machine."""
    return path != DIGITS and not is_remote(path)


def _folder(root: str) -> Source:
    """Parquet files in the folder or its data/, else tar files, else zip files, else image files."""
    for inner, suffixes in (("", (".parquet",)), ("data/", (".parquet",)), ("", _TARS), ("", (".zip",))):
        folder = below(root, inner)
        looked_at = islice(direct_files(folder), PEEKED) if is_remote(root) else direct_files(folder)
        if any(name.endswith(suffixes) for name in looked_at):
            return _of(root, sorted(inner + name for name in direct_files(folder) if name.endswith(suffixes)))
    from rectok.data.sources.files import Files

    return Files(root)


def _file(path: str) -> Source:
    root, _, name = path.rpartition("/")
    if not name.endswith((".parquet", ".zip", *_TARS)):
        raise UserError(f"index.source {path} is a file of an unknown kind; it can be {_KINDS}")
    return _of(root or ("/" if path.startswith("/") else "."), [name])


def _of(root: str, names: Sequence[str]) -> Source:
    """The source over files of one kind."""
    if names[0].endswith(".parquet"):
        from rectok.data.sources.parquet import Parquet

        return Parquet(root, names)
    if names[0].endswith(".zip"):
        from rectok.data.sources.zip import Zip

        return Zip(root, names)
    from rectok.data.sources.tar import Tar

    return Tar(root, names)
