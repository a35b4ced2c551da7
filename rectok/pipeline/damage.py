"""Rehashes the artefacts in data/ and in DVC's cache. DVC itself trusts the size and time of what it has hashed once."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rectok.pipeline.lock import Record

TREE = ".dir"
"""How the hash of a folder ends: it is that of the list of its files."""


@dataclass(frozen=True)
class Damage:
    """An output of `stage` that is not what dvc.lock records, here (`here`) or in those files of DVC's cache."""

    stage: str
    path: str
    here: bool
    cached: tuple[Path, ...]

    @property
    def sentence(self) -> str:
        """What is damaged, and what brings it back."""
        copies = ", ".join(map(str, self.cached))
        if not self.cached:
            return f"{self.path} is not what dvc.lock records; remove it, then `dvc checkout {self.path}`"
        also = f"{self.path} and its copy in DVC's cache ({copies}) are" if self.here else f"{copies} ({self.path}) is"
        return (
            f"{also} damaged; remove {'both' if self.here else 'it'}, then `dvc pull {self.stage}` fetches it again, or where "
            f"no remote has it `rectok repair {self.stage}` makes it"
        )


def md5_of(path: Path) -> str:
    """The hash that DVC records for a file or folder."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    entries = [{"md5": md5_of(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + TREE


def damages(records: Mapping[str, Record], cache: Path) -> list[Damage]:
    """All outputs that dvc.lock records and that are not what it records, in data/ or in the cache; missing ones are none."""
    outs = [(stage, out) for stage, record in records.items() for out in record.outs]
    bad_files = _damaged_files(cache)
    with ThreadPoolExecutor() as pool:
        here = pool.map(lambda out: Path(out.path).exists() and md5_of(Path(out.path)) != out.md5, (o for _, o in outs))
    damaged = []
    for (stage, out), differs in zip(outs, here, strict=True):
        cached = tuple(file for file in cached_files(cache, out.md5) if file in bad_files)
        if differs or cached:
            damaged.append(Damage(stage, out.path, differs, cached))
    return damaged


def _damaged_files(cache: Path) -> set[Path]:
    """Files of the cache whose content is not what their name says."""
    files = [file for file in cache.glob("??/*") if file.is_file()]
    with ThreadPoolExecutor() as pool:
        return {file for file, damaged in zip(files, pool.map(is_damaged, files), strict=True) if damaged}


def is_damaged(file: Path) -> bool:
    """Whether the content of a file of the cache is not what its name says."""
    return file.parent.name + file.name.removesuffix(TREE) != md5_of(file)


def cached_files(cache: Path, md5: str) -> list[Path]:
    """Where the cache has an output, and the files in it where it is a folder."""
    place = _file(cache, md5)
    if not md5.endswith(TREE):
        return [place]
    try:
        return [place, *(_file(cache, entry["md5"]) for entry in json.loads(place.read_bytes()))]
    except (OSError, ValueError, LookupError, TypeError):
        return [place]


def _file(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]
