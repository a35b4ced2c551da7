"""Folders that carry the list of their files with hashes, and copies of them. A copy gets its list last, so that one with a list
is complete."""

import json
import re
from pathlib import Path, PurePosixPath

from rectok.errors import DamagedError
from rectok.files import replacing_folder, write_text
from rectok.json_records import parse_json
from rectok.storage.hashing import sha256_file
from rectok.storage.objects import below, direct_files, fetch, list_files, publish, read_bytes, remove_below

LIST = "files.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def write_list(folder: Path) -> None:
    """Write the list of all files of `folder` (name → sha256) into it."""
    write_text(folder / LIST, json.dumps({name: sha256_file(folder / name) for name in sorted(_names(str(folder)))}))


def damaged_file(folder: Path) -> str | None:
    """The first file of `folder` that is missing, unlisted or other than listed; None where all are as they were written."""
    try:
        hashes = read_list(str(folder))
    except DamagedError:
        return LIST
    names = _names(str(folder))
    odd = sorted(names ^ hashes.keys())
    return odd[0] if odd else next((name for name in hashes if sha256_file(folder / name) != hashes[name]), None)


def publish_folder(folder: Path, uri: str) -> None:
    """Replace everything below `uri` by the files of `folder`, which has a list."""
    remove_below(uri)
    for name in (*read_list(str(folder)), LIST):
        publish(folder / name, below(uri, name))


def is_whole(uri: str) -> bool:
    """Whether the copy below `uri` is complete."""
    return LIST in direct_files(uri)


def fetch_folder(uri: str, to: Path) -> None:
    """Copy what `publish_folder` wrote to `to`, which appears whole or not at all. Raises DamagedError if a file differs."""
    hashes = read_list(uri)
    for name in sorted(hashes.keys() - _names(uri)):
        raise DamagedError(f"{below(uri, name)} is missing")
    with replacing_folder(to) as temporary:
        for name, sha256 in hashes.items():
            fetch(below(uri, name), sha256, temporary / name)
        write_text(temporary / LIST, json.dumps(hashes))


def _names(uri: str) -> set[str]:
    return {file.name for file in list_files(uri)} - {LIST}


def read_list(uri: str) -> dict[str, str]:
    """The list of the folder or copy `uri`. Raises DamagedError, also where a name leads out of the folder."""
    place = below(uri, LIST)
    if not is_whole(uri):
        raise DamagedError(f"{place} is missing")
    try:
        hashes: dict[str, str] = parse_json(read_bytes(place), place)
    except DamagedError as error:
        raise DamagedError(f"{error}; remove {uri}") from None
    if not all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in hashes.values()):
        raise DamagedError(f"{place} is damaged: it must hold a sha256 for each name; remove {uri}")
    for name in hashes:
        if not _lies_inside(name):
            raise DamagedError(f"{place} names {name!r}, which is no file inside its folder; remove {uri}")
    return hashes


def _lies_inside(name: str) -> bool:
    """Whether a name from a list is a plain relative path without steps upwards."""
    path = PurePosixPath(name)
    plain = str(path) == name and name not in (".", LIST) and name.isprintable() and "\\" not in name
    return plain and not path.is_absolute() and ".." not in path.parts
