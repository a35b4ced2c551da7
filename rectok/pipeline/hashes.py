"""sha256 of files, each computed once for as long as the file stays as it is.

A hash counts for one inode with its size, its time of modification (mtime) and its time of status change (ctime). The system
sets ctime at every write, rename, link and change of mode or times, and no call sets it back. So a bit that a program flips in
place is seen, also where mode and mtime are put back. Two things are not seen: a disk that returns other bytes than were
written, and a write while root has set the clock back. `rectok verify` sees both, since it reads everything and never asks here.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from rectok.artifacts import DATA
from rectok.storage.hashing import sha256_file

DATABASE = DATA / "state" / "hashes.sqlite"
SETTLED_NS = 2 * 10**9
"""A file that changed so short a time ago is not remembered, for file systems count time in steps of up to two seconds."""
WAIT_SECONDS = 10.0
Version = tuple[int, int, int, int, int]
T = TypeVar("T")


def hash_of(path: Path) -> str:
    """Hex sha256 of one file."""
    return hashes_of([path])[path.as_posix()]


def hashes_of(paths: Iterable[Path]) -> dict[str, str]:
    """Hex sha256 of each file, by path. Several are read at once."""
    files = sorted(set(paths))
    versions = {file: _version(file) for file in files}
    known: dict[Path, str] = _with_database(lambda database: _read(database, versions)) or {}
    unknown = [file for file in files if file not in known]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fresh = dict(zip(unknown, pool.map(sha256_file, unknown), strict=True))
    latest = time.time_ns() - SETTLED_NS
    stable = {versions[file]: digest for file, digest in fresh.items() if _settled(file, versions[file], latest)}
    if stable:
        _with_database(lambda database: _write(database, stable))
    return {file.as_posix(): (known | fresh)[file] for file in files}


def _version(file: Path) -> Version:
    """Device, inode, size, mtime and ctime, in bytes and nanoseconds."""
    status = file.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _settled(file: Path, version: Version, latest: int) -> bool:
    """Whether the file did not change while it was read, nor so shortly before that it could change unseen."""
    return version[-1] < latest and _version(file) == version


def _with_database(use: Callable[[sqlite3.Connection], T]) -> T | None:
    """What `use` returns; None outside of a project, and where the database cannot be used, as on a full disk.

    The database only saves time.
    """
    if not DATA.is_dir():
        return None
    try:
        DATABASE.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(DATABASE, timeout=WAIT_SECONDS)) as database, database:
            database.execute(
                "create table if not exists hashes (device, inode, size, mtime, ctime, sha256, primary key (device, inode))"
            )
            return use(database)
    except (sqlite3.Error, OSError):
        return None


def _read(database: sqlite3.Connection, versions: Mapping[Path, Version]) -> dict[Path, str]:
    query = "select sha256 from hashes where device = ? and inode = ? and size = ? and mtime = ? and ctime = ?"
    rows = {file: database.execute(query, version).fetchone() for file, version in versions.items()}
    return {file: str(row[0]) for file, row in rows.items() if row}


def _write(database: sqlite3.Connection, hashes: Mapping[Version, str]) -> None:
    rows = [(*version, digest) for version, digest in hashes.items()]
    database.executemany("insert or replace into hashes values (?, ?, ?, ?, ?, ?)", rows)
