"""What dvc.lock says of each stage: the hash and size of everything it read and made, its parameters and its code version."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rectok.errors import UserError
from rectok.pipeline.code_versions import VERSIONS_FILE
from rectok.yaml_text import UNREADABLE, load_as_dvc

LOCK_FILE = Path("dvc.lock")
DAMAGED = (
    f"{LOCK_FILE} is damaged, as where DVC was killed while it wrote it; restore it from git or remove it, then `dvc repro` "
    "takes the results from DVC's cache"
)
HEADER = "schema: '2.0'\nstages:\n"
"""How DVC begins the file."""
LINE_END = "\n"
_ENTRY = re.compile(r"^  (?=\S)", re.MULTILINE)
DAMAGE = (*UNREADABLE, LookupError, TypeError, AttributeError)
"""What the reading of a damaged entry raises."""


@dataclass(frozen=True)
class Locked:
    """One output or dependency, as recorded when its stage last succeeded. `size` is in bytes."""

    path: str
    md5: str
    size: int


@dataclass(frozen=True)
class Record:
    """One stage of dvc.lock. `params` are the values it ran with, by dotted name; `code_version` is None where it had none."""

    deps: tuple[Locked, ...]
    outs: tuple[Locked, ...]
    params: Mapping[str, Any]
    code_version: int | None

    @property
    def data_version(self) -> str:
        """The md5 of the output; of the list of them where there are several."""
        if len(self.outs) == 1:
            return self.outs[0].md5
        lines = sorted(f"{out.path} {out.md5}\n" for out in self.outs)
        return hashlib.md5("".join(lines).encode(), usedforsecurity=False).hexdigest()


def read(root: Path = Path()) -> Mapping[str, Record]:
    """dvc.lock of the project at `root`, by stage address; empty before the first run. Raises UserError where it is damaged."""
    try:
        text = (root / LOCK_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        stages = (load_as_dvc(text) or {}).get("stages") or {}
        return {address: record_of(stage) for address, stage in stages.items()}
    except DAMAGE:
        raise UserError(DAMAGED) from None


def names(root: Path = Path()) -> frozenset[str]:
    """Addresses of the stages that dvc.lock records. Raises UserError where it is damaged."""
    texts = entry_texts(root)
    return frozenset(read(root) if texts is None else texts)  # the former takes long


def entry_texts(root: Path = Path()) -> dict[str, str] | None:
    """The text of each entry of dvc.lock, by address; None where DVC did not lay the file out."""
    text = (root / LOCK_FILE).read_text(encoding="utf-8") if (root / LOCK_FILE).exists() else ""
    if (chunks := _chunks(text)) is None:
        return None
    keys = {first: first.strip().removesuffix(":") for first in chunks}
    return {str(load_as_dvc(key)) if key[0] in "\"'" else key: chunks[first] for first, key in keys.items()}


def parsed(texts: Iterable[str]) -> Mapping[str, Any]:
    """Entries by address, from their texts. Raises one of DAMAGE."""
    return dict(load_as_dvc("".join(texts)) or {})


def spliced(text: str, entries: Mapping[str, str]) -> str | None:
    """The `text` of a dvc.lock in which `entries`, by their first lines, replace those that begin alike or follow the last.

    The others stay as they are, byte by byte: to parse and write a lock of 6 000 stages takes DVC minutes. It is None where the
    text is not laid out as DVC does it, as after an edit by hand.
    """
    chunks = _chunks(text)
    return None if chunks is None else HEADER + "".join((chunks | dict(entries)).values())


def _chunks(text: str) -> dict[str, str] | None:
    """The text of each entry by its first line; None where DVC did not lay the text out."""
    body = (text or HEADER).removeprefix(HEADER)
    if (text and body == text) or re.search(r"^\S", body, re.MULTILINE) or not (text or HEADER).endswith(LINE_END):
        return None
    _, *chunks = _ENTRY.split(body)
    return {f"  {chunk.partition(LINE_END)[0]}": f"  {chunk}" for chunk in chunks}


def record_of(stage: Mapping[str, Any]) -> Record:
    """An entry of dvc.lock or of DVC's run cache."""
    files = dict(stage.get("params") or {})
    versions = files.pop(str(VERSIONS_FILE), {})
    params = {name: value for file in files.values() for name, value in file.items()}
    return Record(_entries(stage, "deps"), _entries(stage, "outs"), params, next(iter(versions.values()), None))


def _entries(stage: Mapping[str, Any], name: str) -> tuple[Locked, ...]:
    # Things outside the project, such as a bucket, carry an etag in place of an md5.
    entries = [entry for entry in stage.get(name, ()) if "md5" in entry]
    return tuple(Locked(str(each["path"]), str(each["md5"]), int(each.get("size", 0))) for each in entries)
