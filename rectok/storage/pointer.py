"""A small local file that points to a large file elsewhere."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rectok.errors import DamagedError, UserError
from rectok.files import write_text
from rectok.json_records import parse_json
from rectok.storage.hashing import sha256_file
from rectok.storage.objects import below, publish

MARK = b'{"points_to": '
DIGITS = 16
"""Digits of the content's hash in the name of the large file, so that no version overwrites another."""


@dataclass(frozen=True)
class Pointer:
    """The URI of the content, its size in bytes and its sha256 (hex)."""

    points_to: str
    size: int
    sha256: str


def publish_with_pointer(content: Path, location: str, path: Path) -> None:
    """Write the file `content` below `location`, named after `path` and its hash, and a pointer to it as `path`."""
    digest = sha256_file(content)
    uri = below(location, f"{path.stem}-{digest[:DIGITS]}{path.suffix}")
    publish(content, uri)
    write_text(path, json.dumps(asdict(Pointer(uri, content.stat().st_size, digest))) + "\n")


def read_pointer(path: Path) -> Pointer | None:
    """The pointer in the file `path`, or None if it holds content. Raises FileNotFoundError, or UserError if it is damaged."""
    with path.open("rb") as file:
        if file.read(len(MARK)) != MARK:
            return None
    try:
        return Pointer(**parse_json(path.read_bytes(), str(path)))
    except (DamagedError, TypeError):
        raise UserError(f"{path} is damaged: it is an incomplete pointer; run the stage that makes it again") from None
