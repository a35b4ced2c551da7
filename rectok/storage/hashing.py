"""Content hashes of files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

WHOLE_BELOW = 64 * 2**20
EDGE = 2**20


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(paths: Iterable[Path], salt: str = "") -> str:
    """Sixteen hex digits that change if `salt` or any file in or below `paths` changes.

    Of files above 64 MiB it reads only the size and the first and last MiB, so that a large data set costs little.
    """
    digest = hashlib.sha256(salt.encode())
    for root in paths:
        files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        for file in files:
            size = file.stat().st_size
            digest.update(f"{root.name}/{file.relative_to(root)} {size} ".encode())
            digest.update(file.read_bytes() if size <= WHOLE_BELOW else _edges(file, size))
    return digest.hexdigest()[:16]


def _edges(file: Path, size: int) -> bytes:
    with file.open("rb") as handle:
        first = handle.read(EDGE)
        handle.seek(size - EDGE)
        return first + handle.read(EDGE)
