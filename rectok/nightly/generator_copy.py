"""Copies of generators by content hash, below data/promoted/generators/<id>/. Nothing changes a copy. No torch here."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from rectok.artifacts import DATA, missing
from rectok.errors import UserError
from rectok.files import replacing_folder
from rectok.storage.hashing import sha256_file

PROMOTED = DATA / "promoted"
NETWORK = ("model.safetensors", "config.json")
PARTS = {
    "dit": NETWORK,
    "autoguidance": NETWORK,
    "decoder": NETWORK,
    "statistics": ("statistics.json",),
    "metric_network": (*NETWORK, "summary.json"),
}
"""What sampling and its metrics need, in folders named as those of the stages."""
ID_DIGITS = 12


def generator_folder(generator: str) -> Path:
    """The folder of a copy, which holds a folder for each of PARTS."""
    return PROMOTED / "generators" / generator


def content(folder: Path) -> dict[str, str]:
    """sha256 of every file of the generator in `folder` (data/, or a copy). Raises UserError where one is missing."""
    paths = [f"{part}/{name}" for part, names in PARTS.items() for name in names]
    for path in paths:
        if not (folder / path).exists():
            raise UserError(missing(folder / path))
    return {path: sha256_file(folder / path) for path in paths}


def identity(files: Mapping[str, str]) -> str:
    """The name of a generator: a hash of its files' hashes."""
    text = "".join(f"{path} {sha256}\n" for path, sha256 in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def save_copy(source: Path = DATA) -> dict[str, str]:
    """Copy the generator in `source`, unless there is a copy already; the hashes of its files."""
    files = content(source)
    target = generator_folder(identity(files))
    if not target.exists() or content(target) != files:
        with replacing_folder(target) as folder:
            for path in files:
                copy = folder / path
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(source / path, copy)
            if content(folder) != files:
                raise UserError(f"{source} changed while it was copied; promote it when nothing writes there")
    return files
