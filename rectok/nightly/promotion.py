"""Promotions: which generator is promoted, by whom, when and why. No torch here.

Each promotion writes a record, data/promoted/records/0001.json and on, and copies the generator and dvc.lock. The newest
record is the one that counts: nightly runs evaluate its generator, whose measurements are their baseline. To go back is to
promote an earlier one again.
"""

import getpass
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rectok.artifacts import DATA, passed_file, promotion_records, read_json, write_json
from rectok.errors import UserError
from rectok.files import write_bytes
from rectok.nightly.generator_copy import PARTS, PROMOTED, content, generator_folder, identity, save_copy
from rectok.nightly.history import NightlyRun, run_of
from rectok.params import Params
from rectok.params.loading import PARAMS_FILE
from rectok.pipeline import lock
from rectok.pipeline.damage import md5_of
from rectok.pipeline.judged import require_judged
from rectok.reporting.provenance import git_commit, git_user
from rectok.reporting.summary import EVALUATIONS, read_summary

RECORDS = promotion_records()


@dataclass(frozen=True)
class Promotion:
    """One promotion.

    `generator` is the hash of all `files` (path → sha256). `commit`, `lock` (sha256 of dvc.lock, empty without one, whose copy
    is records/<sha256>.lock) and `params` say what made it. `metrics` are those of the pipeline's own evaluation, and
    `fingerprints` those of its protocols, which a record of an earlier version lacks. `measured` is the nightly evaluation that
    was made when it was promoted, None where that was left to the first nightly runs.
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
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the generator's copy."""
        return generator_folder(self.generator)


def promote_current(params: Params, who: str, why: str, measured: bool) -> Promotion:
    """Copy the pipeline's generator and metric network, and promote them; with `measured` a nightly evaluation comes first.

    Raises UserError where a gate has not passed, or where the metrics were measured on something else.
    """
    for sentence in _objections():
        raise UserError(sentence)
    summary, files = read_summary(), save_copy()
    generator = identity(files)
    return _write(
        Promotion(
            number=_next_number(),
            generator=generator,
            time=_now(),
            who=who or git_user() or getpass.getuser(),
            why=why,
            commit=git_commit(),
            lock=_save_lock(),
            preset=params.preset,
            params=PARAMS_FILE.read_text(encoding="utf-8"),
            metrics=summary.metrics,
            fingerprints=summary.fingerprints,
            measured=_measured(params, generator) if measured else None,
            files=files,
        )
    )


def promote_again(number: int, who: str, why: str) -> Promotion:
    """Promote the generator of promotion `number` again. Raises UserError without it or its whole copy."""
    path = RECORDS / f"{number:04d}.json"
    if not path.exists():
        raise UserError(f"there is no promotion {number}; `rectok promote --list` shows those that there are")
    earlier = _read(path)
    verify(earlier)
    who = who or git_user() or getpass.getuser()
    return _write(replace(earlier, number=_next_number(), time=_now(), who=who, why=why))


def promotions() -> list[Promotion]:
    """All of them, oldest first."""
    return [_read(path) for path in sorted(RECORDS.glob("*.json"))]


def current_promotion() -> Promotion | None:
    """The newest one, or None where nothing was promoted yet."""
    paths = sorted(RECORDS.glob("*.json"))
    return _read(paths[-1]) if paths else None


def verify(promotion: Promotion) -> None:
    """Raise UserError unless the generator that was promoted is there, byte for byte."""
    if not promotion.folder.exists():
        raise UserError(
            f"{promotion.folder} was removed; take up commit {promotion.commit[:10] or '?'} and the dvc.lock that "
            f"{RECORDS} keeps of promotion {promotion.number}, `dvc repro`, and promote that"
        )
    if content(promotion.folder) != promotion.files:
        raise UserError(
            f"{promotion.folder} is not what was promoted as {promotion.number}; restore it, or promote another one"
        )


def prune() -> list[str]:
    """Remove the copies of all but the promoted generator, and give their names; records stay."""
    current = current_promotion()
    copies = sorted(generator_folder("").glob("*"))
    folders = [folder for folder in copies if current and folder.name != current.generator]
    for folder in folders:
        shutil.rmtree(folder)
    return [folder.name for folder in folders]


def _objections() -> Iterator[str]:
    for gate in (*PARTS, *EVALUATIONS):
        if not passed_file(gate).exists():
            yield f"gate {gate} has not passed, so its artefact cannot be promoted; `dvc repro` says what is wrong with it"
    require_judged((DATA / stage).as_posix() for stage in (*PARTS, *EVALUATIONS))
    records = lock.read()
    outputs = {out.path: out.md5 for record in records.values() for out in record.outs}
    measured = {dep.path: dep.md5 for dep in records["generation"].deps} if "generation" in records else {}
    for part in PARTS:
        path = (DATA / part).as_posix()
        if path in measured and outputs.get(path, measured[path]) != measured[path]:
            yield f"data/generation was measured on another {path}; run `dvc repro` before promoting"
    for stage in (*PARTS, *EVALUATIONS):
        path = (DATA / stage).as_posix()
        if path in outputs and md5_of(DATA / stage) != outputs[path]:
            yield f"{path} is not what dvc.lock records; `rectok verify` says what to do"


def _measured(params: Params, generator: str) -> NightlyRun:
    from rectok.nightly.measurement import measure  # torch

    today = datetime.now(UTC).date().isoformat()
    measured = measure(params, generator_folder(generator), today, f"promotion/{generator}")
    assert measured is not None
    return measured[0]


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
    write_json(RECORDS / f"{promotion.number:04d}.json", {**vars(promotion), "measured": measured})
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


def _next_number() -> int:
    return max((each.number for each in promotions()), default=0) + 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
