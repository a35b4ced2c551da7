"""From the text of `index.source` to a source."""

from pathlib import Path

from rectok.data.sources.item import Source
from rectok.errors import UserError

_KINDS = "sklearn:digits, an image folder, a parquet file or folder, a tar file, or an s3:// prefix"


def open_source(source: str) -> Source:
    """The source that `index.source` names. Raises UserError when there is nothing of that kind."""
    if source == "sklearn:digits":
        from rectok.data.sources.digits import Digits

        return Digits()
    if source.startswith("s3://"):
        return _files(source)
    path = Path(source)
    if not path.exists():
        raise UserError(f"index.source {source} does not exist; it can be {_KINDS}")
    return _folder(path) if path.is_dir() else _file(path)


def is_local(source: str) -> bool:
    """Whether `source` is a path on this machine."""
    return source != "sklearn:digits" and not source.startswith("s3://")


def _folder(path: Path) -> Source:
    from rectok.data.sources.tar import SUFFIXES, Tar

    rows = sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")])
    if rows:
        return _parquet(path, rows)
    tars = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
    return Tar(path, tars) if tars else _files(str(path))


def _file(path: Path) -> Source:
    from rectok.data.sources.tar import SUFFIXES, Tar

    if path.name.endswith(".parquet"):
        return _parquet(path.parent, [path])
    if path.name.endswith(SUFFIXES):
        return Tar(path.parent, [path])
    raise UserError(f"index.source {path} is a file of an unknown kind; it can be {_KINDS}")


def _files(root: str) -> Source:
    from rectok.data.sources.files import Files

    return Files(root)


def _parquet(root: Path, files: list[Path]) -> Source:
    from rectok.data.sources.parquet import Parquet

    return Parquet(root, files)
