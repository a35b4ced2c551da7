"""The accepted generator: a copy by content hash, and a record of who accepted it, when and why. No torch here.

Below data/promoted lie `generators/<id>/`, copies that nothing changes any more, and `records/0001.json` and on, one for each
time that somebody accepted a generator, with a copy of the dvc.lock that it came from. The newest record says which generator is
in force; to go back is to accept an earlier one again.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rectok.artifacts import DATA, missing, read_json, write_json
from rectok.errors import UserError
from rectok.files import replacing_folder, write_bytes
from rectok.nightly.history import NightlyRun
from rectok.storage.hashing import sha256_file

PROMOTED = DATA / "promoted"
RECORDS = PROMOTED / "records"
NETWORK = ("model.safetensors", "config.json")
PARTS = {
    "dit": NETWORK,
    "autoguidance": NETWORK,
    "decoder": NETWORK,
    "statistics": ("statistics.json",),
    "metric_network": (*NETWORK, "summary.json"),
}
"""What sampling and judging need, in folders named as those of the stages."""
ID_DIGITS = 12


@dataclass(frozen=True)
class Promotion:
    """One acceptance.

    `generator` is the hash of all `files` (path → sha256); `commit`, `lock` (sha256 of dvc.lock, empty without one, whose copy
    is records/<sha256>.lock) and `params` say what made it; `figures` are those of the pipeline's own evaluation. `measured`
    is what the nightly evaluation found when it was accepted, None where that was left to the first nights.
    """

    number: int
    generator: str
    time: str
    who: str
    why: str
    commit: str
    lock: str
    preset: str
    params: str
    figures: Mapping[str, Any]
    measured: NightlyRun | None
    files: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where the generator lies."""
        return generator_folder(self.generator)


def generator_folder(generator: str) -> Path:
    """The folder of an accepted generator, which holds a folder for each of PARTS."""
    return PROMOTED / "generators" / generator


def content(folder: Path) -> dict[str, str]:
    """sha256 of every file of the generator in `folder` (data/, or an accepted one). Raises UserError where one is missing."""
    found = {}
    for part, names in PARTS.items():
        for name in names:
            path = folder / part / name
            if not path.exists():
                raise UserError(missing(path))
            found[f"{part}/{name}"] = sha256_file(path)
    return found


def identity(files: Mapping[str, str]) -> str:
    """The name of a generator: a hash of its files' hashes."""
    text = "".join(f"{path} {sha256}\n" for path, sha256 in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def keep(source: Path = DATA) -> dict[str, str]:
    """Copy the generator in `source` to the folder of its own, unless it is there; its files' hashes."""
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


def keep_lock(lock: Path) -> str:
    """Copy dvc.lock beside the records, for it may never be committed; its sha256, or nothing where there is none."""
    if not lock.exists():
        return ""
    text = lock.read_bytes()
    sha256 = hashlib.sha256(text).hexdigest()
    write_bytes(RECORDS / f"{sha256}.lock", text)
    return sha256


def prune() -> list[str]:
    """Remove the copies of generators that are not in force, and give their names; records stay."""
    kept = in_force()
    folders = sorted(generator_folder("").glob("*")) if kept else []
    removed = [folder for folder in folders if kept and folder.name != kept.generator]
    for folder in removed:
        shutil.rmtree(folder)
    return [folder.name for folder in removed]


def verify(promotion: Promotion) -> None:
    """Raise UserError unless the generator that was accepted is there, byte for byte."""
    if not promotion.folder.exists():
        raise UserError(
            f"{promotion.folder} was removed; take up commit {promotion.commit[:10] or '?'} and the dvc.lock that "
            f"{RECORDS} keeps of promotion {promotion.number}, `dvc repro`, and promote that"
        )
    if content(promotion.folder) != promotion.files:
        raise UserError(
            f"{promotion.folder} is not what promotion {promotion.number} accepted; restore it, or promote another one"
        )


def write(promotion: Promotion) -> Path:
    """Keep the record, which puts its generator in force."""
    path = _record_file(promotion.number)
    write_json(path, asdict(promotion))
    return path


def promotions() -> list[Promotion]:
    """All of them, oldest first."""
    return [_read(path) for path in sorted(RECORDS.glob("*.json"))]


def in_force() -> Promotion | None:
    """The newest one, or None where nothing was accepted yet."""
    paths = sorted(RECORDS.glob("*.json"))
    return _read(paths[-1]) if paths else None


def numbered(number: int) -> Promotion:
    """The promotion of that number. Raises UserError where there is none."""
    path = _record_file(number)
    if not path.exists():
        raise UserError(f"there is no promotion {number}; `rectok promote --list` shows those that there are")
    return _read(path)


def _record_file(number: int) -> Path:
    return RECORDS / f"{number:04d}.json"


def _read(path: Path) -> Promotion:
    record = read_json(path)
    try:
        measured = record.pop("measured")
        return Promotion(**record, measured=NightlyRun(**measured) if measured else None)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
