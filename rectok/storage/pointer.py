"""A small file that stands for a large one which lies elsewhere."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rectok.errors import UserError
from rectok.files import write_text
from rectok.storage.hashing import sha256_file
from rectok.storage.objects import below, publish

MARK = b'{"points_to": '
DIGITS = 16
"""Of a content's hash in its name, so that no version takes another one's place."""


@dataclass(frozen=True)
class Pointer:
    """Where the content is, its size in bytes and its sha256 (hex)."""

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
    """The pointer in the file `path`; None where it holds content itself. Raises FileNotFoundError, or UserError if damaged."""
    with path.open("rb") as file:
        if file.read(len(MARK)) != MARK:
            return None
    try:
        return Pointer(**json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise UserError(f"{path} is damaged, for it is no whole pointer; run the stage that makes it again") from None
