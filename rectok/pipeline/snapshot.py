"""The last status of a project, which holds for as long as no file that it was read from changes.

DVC needs a minute to read a pipeline of 6 000 stages, and the system a moment to say that none of its files is another one.
A file is the same while its inode, size and times are, as for `rectok.pipeline.hashes`.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rectok.errors import DamagedError
from rectok.files import write_text
from rectok.json_records import parse_json
from rectok.pipeline.hashes import SETTLED_NS

FILE = Path(".dvc/tmp/rectok-status.json")
SETTINGS = ("dvc.yaml", "dvc.lock", ".dvcignore", ".dvc/config", ".dvc/config.local")


def remembered(root: Path) -> Any | None:
    """What `remember` was given last; None where a file has changed since, or nothing was."""
    try:
        record = parse_json((root / FILE).read_bytes(), FILE.as_posix())
        if record["signature"] == _signature(root, record["watched"])[0]:
            return record["content"]
    except (OSError, DamagedError, TypeError):
        pass
    return None


def remember(root: Path, watched: Iterable[str], content: Any) -> None:
    """Keep `content`, a JSON value that follows from the files and folders `watched` and from the settings of DVC.

    Nothing is kept where one of them has just changed, since a second change could go unseen, nor outside of a project.
    """
    if not (root / FILE).parent.is_dir():
        return
    paths = sorted({*watched, *SETTINGS})
    # Dates in params.yaml, a full disk, files of a running stage that come and go: the next one reads everything again.
    with suppress(TypeError, OSError):
        signature, newest = _signature(root, paths)
        if newest < time.time_ns() - SETTLED_NS:
            write_text(root / FILE, json.dumps({"signature": signature, "watched": paths, "content": content}))


def _signature(root: Path, paths: Iterable[str]) -> tuple[str, int]:
    """A hash over what the system says of all files, and when the newest of them changed, in ns."""
    digest, newest = hashlib.sha256(f"{version('dvc')} {version('rectok')}".encode()), 0
    for path in paths:
        for name, status in _files(os.path.join(root, path)):  # noqa: PTH118  # pathlib takes seconds
            facts = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) if status else ()
            digest.update(f"{name} {facts}\n".encode(errors="surrogateescape"))
            newest = max(newest, status.st_ctime_ns if status else 0)
    return digest.hexdigest(), newest


def _files(path: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """The file at `path`, or those below it, in the order of their names; None stands for one that is not there."""
    try:  # a running stage may remove a file, or a folder, between two calls
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        yield path, _status(path)
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry.path, _status(entry.path)


def _status(path: str) -> os.stat_result | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.stat(path)  # noqa: PTH116
    return None
