"""The last status of a project, and which files have changed since it was read.

DVC needs a minute to read a pipeline of 6 000 stages, and the system a moment to say which of its files is another one.
A file is the same while its inode, size and times are, as for `rectok.pipeline.hashes`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rectok.errors import DamagedError
from rectok.files import write_text
from rectok.json_records import parse_json
from rectok.pipeline.hashes import SETTLED_NS

FILE = Path(".dvc/tmp/rectok-status.json")
SETTINGS = ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/config.local")
"""Files after whose change nothing of a status holds."""
DIGITS = 16


@dataclass(frozen=True)
class Snapshot:
    """What `remember` got last, and which of the files and folders that were watched are no longer the same."""

    content: Any
    changed: frozenset[str]


def remembered(root: Path) -> Snapshot | None:
    """The last snapshot; None where there is none, or a file of SETTINGS or the version of DVC or rectok is another one."""
    try:
        record = parse_json((root / FILE).read_bytes(), FILE.as_posix())
        facts = record["facts"]
        if record["versions"] != _versions() or any(facts[name] != _facts(root, name)[0] for name in SETTINGS):
            return None
        changed = frozenset(path for path, digest in facts.items() if digest != _facts(root, path)[0])
        return Snapshot(record["content"], changed)
    except (OSError, DamagedError, LookupError, TypeError, AttributeError):
        return None


def remember(root: Path, watched: Iterable[str], content: Any, began: int) -> None:
    """Keep `content`, a JSON value that follows from the files and folders `watched` and from SETTINGS.

    Their reading began at the time `began`, in ns. Nothing is kept where one of them changed since or just before, since the
    change could go unseen, nor outside of a project.
    """
    if not (root / FILE).parent.is_dir():
        return
    # Dates in params.yaml, a full disk, files of a running stage that come and go: the next one reads everything again.
    with suppress(TypeError, OSError):
        facts = {path: _facts(root, path) for path in sorted({*watched, *SETTINGS})}
        if max(newest for _, newest in facts.values()) < began - SETTLED_NS:
            digests = {path: digest for path, (digest, _) in facts.items()}
            write_text(root / FILE, json.dumps({"versions": _versions(), "facts": digests, "content": content}))


def _versions() -> str:
    return f"{version('dvc')} {version('rectok')}"


def _facts(root: Path, path: str) -> tuple[str, int]:
    """A hash over what the system says of a file or of all files of a folder, and when the newest of them changed, in ns."""
    digest, newest = hashlib.sha256(), 0
    for name, status in _files(os.path.join(root, path)):  # noqa: PTH118  # pathlib takes seconds
        facts = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) if status else ()
        digest.update(f"{name} {facts}\n".encode(errors="surrogateescape"))
        newest = max(newest, status.st_ctime_ns if status else 0)
    return digest.hexdigest()[:DIGITS], newest


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
