"""Promotions: which generator is accepted, by whom, when and why. No torch here.

Each acceptance writes a record, data/promoted/records/0001.json and on, and copies the generator and dvc.lock. The newest
record says which generator is active: nightly runs evaluate it, and its measurements are their baseline. To go back is to
accept an earlier promotion again.
"""

import getpass
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rectok.artifacts import DATA, passed_file, read_json, write_json
from rectok.errors import UserError
from rectok.files import write_bytes
from rectok.nightly.generator_copy import PARTS, PROMOTED, content, generator_folder, identity, remove_copies, save_copy
from rectok.nightly.history import NightlyRun, run_of
from rectok.params import Params
from rectok.params.loading import PARAMS_FILE
from rectok.pipeline import lock
from rectok.reporting.provenance import git_commit, git_user
from rectok.reporting.summary import EVALUATIONS, read_summary

RECORDS = PROMOTED / "records"


@dataclass(frozen=True)
class Promotion:
    """One acceptance.

    `generator` is the hash of all `files` (path → sha256). `commit`, `lock` (sha256 of dvc.lock, empty without one, whose copy
    is records/<sha256>.lock) and `params` say what made it. `metrics` are those of the pipeline's own evaluation. `measured` is
    the nightly evaluation that was made when it was accepted, None where that was left to the first nightly runs.
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
    metrics: Mapping[str, Any]
    measured: NightlyRun | None
    files: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The folder of the generator's copy."""
        return generator_folder(self.generator)


def accept(params: Params, who: str, why: str, measured: bool) -> Promotion:
    """Copy the pipeline's generator and metric network, and make them the active ones.

    With `measured` they are evaluated first as in a nightly run, which makes the first measurement of the baseline. Raises
    UserError where a gate has not passed, or where the metrics were measured on something else.
    """
    for sentence in _objections():
        raise UserError(sentence)
    metrics, files = read_summary().metrics, save_copy()
    generator = identity(files)
    return _write(
        Promotion(
            number=_next_number(),
            generator=generator,
            time=_now(),
            who=who or _author(),
            why=why,
            commit=git_commit(),
            lock=_save_lock(),
            preset=params.preset,
            params=PARAMS_FILE.read_text(encoding="utf-8"),
            metrics=metrics,
            measured=_measured(params, generator) if measured else None,
            files=files,
        )
    )


def accept_again(number: int, who: str, why: str) -> Promotion:
    """Make the generator of promotion `number` the active one again. Raises UserError where its copy is not whole."""
    earlier = numbered(number)
    verify(earlier)
    return _write(replace(earlier, number=_next_number(), time=_now(), who=who or _author(), why=why))


def promotions() -> list[Promotion]:
    """All of them, oldest first."""
    return [_read(path) for path in sorted(RECORDS.glob("*.json"))]


def active_promotion() -> Promotion | None:
    """The newest one, or None where nothing was accepted yet."""
    paths = sorted(RECORDS.glob("*.json"))
    return _read(paths[-1]) if paths else None


def numbered(number: int) -> Promotion:
    """The promotion of that number. Raises UserError where there is none."""
    path = _record_file(number)
    if not path.exists():
        raise UserError(f"there is no promotion {number}; `rectok promote --list` shows those that there are")
    return _read(path)


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


def prune() -> list[str]:
    """Remove the copies of generators that are not active, and give their names; records stay."""
    active = active_promotion()
    return remove_copies(active.generator) if active else []


def _objections() -> Iterator[str]:
    for gate in (*PARTS, *EVALUATIONS):
        if not passed_file(gate).exists():
            yield f"gate {gate} has not passed, so its artefact cannot be accepted; `dvc repro` says what is wrong with it"
    records = lock.read()
    outputs = {out.path: out.md5 for record in records.values() for out in record.outs}
    measured = {dep.path: dep.md5 for dep in records["generation"].deps} if "generation" in records else {}
    for part in PARTS:
        path = (DATA / part).as_posix()
        if path in measured and outputs.get(path, measured[path]) != measured[path]:
            yield f"data/generation was measured on another {path}; run `dvc repro` before promoting"


def _measured(params: Params, generator: str) -> NightlyRun:
    from rectok.nightly.measurement import measure  # torch

    today = datetime.now(UTC).date().isoformat()
    run, _ = measure(params, generator_folder(generator), today, f"promotion/{generator}")
    return run


def _save_lock() -> str:
    """Copy dvc.lock beside the records, for it may never be committed; its sha256, or nothing where there is none."""
    if not lock.LOCK_FILE.exists():
        return ""
    text = lock.LOCK_FILE.read_bytes()
    sha256 = hashlib.sha256(text).hexdigest()
    write_bytes(RECORDS / f"{sha256}.lock", text)
    return sha256


def _write(promotion: Promotion) -> Promotion:
    measured = promotion.measured.row() if promotion.measured else None
    write_json(_record_file(promotion.number), {**vars(promotion), "measured": measured})
    return promotion


def _read(path: Path) -> Promotion:
    record = read_json(path)
    if "figures" in record:
        raise UserError(
            f"{path} is of an older version, which named the parts of a generator otherwise; move {PROMOTED} away and promote "
            "the current generator"
        )
    try:
        measured = record.pop("measured")
        return Promotion(**record, measured=run_of(measured) if measured else None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def _record_file(number: int) -> Path:
    return RECORDS / f"{number:04d}.json"


def _next_number() -> int:
    return max((each.number for each in promotions()), default=0) + 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _author() -> str:
    return git_user() or getpass.getuser()
