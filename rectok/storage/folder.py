"""Copies of folders elsewhere. The list of files is written last, so a copy with a list is complete."""

import json
from pathlib import Path

from rectok.errors import UserError
from rectok.files import replacing_folder, write_text
from rectok.storage.hashing import sha256_file
from rectok.storage.objects import below, direct_files, fetch, list_files, publish, read_bytes, remove_below

LIST = "files.json"


def publish_folder(folder: Path, uri: str) -> None:
    """Replace everything below `uri` by the files of `folder`, then write their list (name → sha256)."""
    remove_below(uri)
    hashes = {file.name: sha256_file(folder / file.name) for file in list_files(str(folder))}
    for name in hashes:
        publish(folder / name, below(uri, name))
    list_file = folder.with_name(f"{folder.name}.{LIST}")
    try:
        write_text(list_file, json.dumps(hashes))
        publish(list_file, below(uri, LIST))
    finally:
        list_file.unlink(missing_ok=True)


def is_whole(uri: str) -> bool:
    """Whether the copy below `uri` is complete."""
    return LIST in direct_files(uri)


def fetch_folder(uri: str, to: Path) -> None:
    """Copy what `publish_folder` wrote to `to`, which appears whole or not at all. Raises UserError if a file differs."""
    try:
        hashes: dict[str, str] = json.loads(read_bytes(below(uri, LIST)))
    except ValueError as error:
        raise UserError(f"{below(uri, LIST)} is damaged: {error}; remove {uri}") from None
    with replacing_folder(to) as temporary:
        for name, sha256 in hashes.items():
            fetch(below(uri, name), sha256, temporary / name)
