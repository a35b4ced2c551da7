"""A folder that was written somewhere else is whole when its list of files, written last, is there."""

import json
from pathlib import Path

from rectok.errors import UserError
from rectok.files import replacing_folder, write_text
from rectok.storage.hashing import sha256_file
from rectok.storage.objects import below, direct_files, fetch, list_files, publish, read_bytes, remove_below

LIST = "files.json"


def publish_folder(folder: Path, uri: str) -> None:
    """Write all files of `folder` below `uri` in place of what is there, then their list (name → sha256)."""
    remove_below(uri)
    found = {file.name: sha256_file(folder / file.name) for file in list_files(str(folder))}
    for name in found:
        publish(folder / name, below(uri, name))
    listed = folder.with_name(f"{folder.name}.{LIST}")
    try:
        write_text(listed, json.dumps(found))
        publish(listed, below(uri, LIST))
    finally:
        listed.unlink(missing_ok=True)


def is_whole(uri: str) -> bool:
    """Whether everything that was to be written below `uri` has been."""
    return LIST in direct_files(uri)


def fetch_folder(uri: str, to: Path) -> None:
    """Copy what `publish_folder` wrote to `to`, which appears whole or not at all. Raises UserError when a file differs."""
    try:
        listed: dict[str, str] = json.loads(read_bytes(below(uri, LIST)))
    except ValueError as error:
        raise UserError(f"{below(uri, LIST)} is damaged: {error}; remove {uri}") from None
    with replacing_folder(to) as temporary:
        for name, sha256 in listed.items():
            fetch(below(uri, name), sha256, temporary / name)
