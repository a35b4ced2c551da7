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
    """16 hex digits of `salt` and all files below `paths`; of one above 64 MiB only size, first and last MiB count."""
    digest = hashlib.sha256(salt.encode())
    for root in paths:
        files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        for file in files:
            size = file.stat().st_size
            digest.update(f"{root.name}/{file.relative_to(root)} {size} ".encode())
            with file.open("rb") as handle:
                digest.update(handle.read() if size <= WHOLE_BELOW else handle.read(EDGE))
                if size > WHOLE_BELOW:
                    handle.seek(size - EDGE)
                    digest.update(handle.read(EDGE))
    return digest.hexdigest()[:16]
