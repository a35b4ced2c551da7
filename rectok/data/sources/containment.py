"""Nothing outside of a source is opened: names that lead out of it, and links that do."""

import os
import posixpath

from rectok.errors import UserError
from rectok.storage.objects import below, is_remote


def name_inside(name: str, where: str, folder: str = "") -> str:
    """The file `name`, relative to `folder` of a source, as its normal name below the source.

    Raises UserError, which begins with `where`, for an absolute name and for one that leads out.
    """
    normal = posixpath.normpath(posixpath.join(folder, name)) if name else ""
    if normal in ("", ".", "..") or "\0" in name or normal.startswith(("/", "../")):
        raise UserError(f"{where} names {name!r}, which lies outside of index.source; names must be relative to it")
    return normal


def uri_inside(root: str, name: str, where: str) -> str:
    """The URI of the file `name` below `root`. Raises UserError as `name_inside`, and for a link that leads out."""
    normal = name_inside(name, where)
    if not is_remote(root):
        _require_inside(root, normal, where)
    return below(root, normal)


class Links:
    """Checks the symbolic links of the folder `root`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = ""
        """The last folder that was checked, with all folders around it."""

    def check(self, name: str, may_be_link: bool = True) -> None:
        """Check the file `name` and the folders around it.

        Raises UserError for a link out of the root, to a file that does not exist, or back to a folder around it.
        """
        if is_remote(self.root):
            name_inside(name, f"index.source {self.root}")
            return
        folder = name.rpartition("/")[0]
        if folder != self._folder:
            parts = folder.split("/")
            for depth in range(1, len(parts) + 1):
                self._check_link("/".join(parts[:depth]))
            self._folder = folder
        if may_be_link:
            self._check_link(name)

    def _check_link(self, name: str) -> None:
        path = f"{self.root}/{name}"
        if not os.path.islink(path):  # noqa: PTH114 - a Path costs as much time as the call
            return
        _require_inside(self.root, name, f"the link {path}")
        around = os.path.realpath(os.path.dirname(path))  # noqa: PTH120
        target = os.path.realpath(path)
        if not os.path.exists(target):  # noqa: PTH110
            raise UserError(f"the link {path} leads to {target}, which does not exist; remove it, or fetch that file")
        if os.path.commonpath([around, target]) == target:
            raise UserError(f"the link {path} leads back to a folder around it; remove it")


def _require_inside(root: str, name: str, where: str) -> None:
    real_root, real = os.path.realpath(root), os.path.realpath(f"{root}/{name}")
    if os.path.commonpath([real_root, real]) != real_root:
        raise UserError(
            f"{where} leads to {name!r}, which is {real} outside of index.source {root}; copy the file into the source"
        )
