"""Accept a generator: what is evaluated every night, and what the nights are compared with, from now on."""

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rectok.artifacts import DATA, passed_file
from rectok.errors import UserError
from rectok.nightly.history import NightlyRun
from rectok.nightly.promotion import (
    PARTS,
    Promotion,
    generator_folder,
    identity,
    keep,
    keep_lock,
    numbered,
    promotions,
    verify,
    write,
)
from rectok.params import Params
from rectok.params.loading import PARAMS_FILE
from rectok.pipeline import lock
from rectok.reporting.provenance import git_commit, git_user
from rectok.reporting.summary import EVALUATIONS, read_summary


def accept(params: Params, who: str, why: str, measured: bool) -> Promotion:
    """Copy the pipeline's generator and metric network, and put them in force.

    With `measured` they are evaluated first as on a night, which makes the first measurement of the baseline. Raises UserError
    where a gate has not passed, or where the figures were measured on something else.
    """
    for sentence in _objections():
        raise UserError(sentence)
    figures, files = read_summary().figures, keep()
    generator = identity(files)
    night = _measured(params, generator) if measured else None
    return _recorded(
        generator=generator,
        who=who or _author(),
        why=why,
        commit=git_commit(),
        lock=keep_lock(lock.LOCK_FILE),
        preset=params.preset,
        params=PARAMS_FILE.read_text(encoding="utf-8"),
        figures=figures,
        measured=night,
        files=files,
    )


def accept_again(number: int, who: str, why: str) -> Promotion:
    """Put the generator of promotion `number` in force again. Raises UserError where its copy is not whole."""
    earlier = numbered(number)
    verify(earlier)
    same = {field: getattr(earlier, field) for field in ("generator", "commit", "lock", "preset", "params")}
    rest = {field: getattr(earlier, field) for field in ("figures", "measured", "files")}
    return _recorded(who=who or _author(), why=why, **same, **rest)


def _recorded(**fields: Any) -> Promotion:
    number = max((each.number for each in promotions()), default=0) + 1
    promotion = Promotion(number=number, time=datetime.now(UTC).isoformat(timespec="seconds"), **fields)
    write(promotion)
    return promotion


def _measured(params: Params, generator: str) -> NightlyRun:
    from rectok.nightly.run import measure

    today = datetime.now(UTC).date().isoformat()
    night, _ = measure(params, generator_folder(generator), today, f"promotion/{generator}")
    return night


def _objections() -> Iterator[str]:
    for gate in (*PARTS, *EVALUATIONS):
        if not passed_file(gate).exists():
            yield f"gate {gate} has not passed, so its artefact cannot be accepted; `dvc repro` says what is wrong with it"
    records = lock.read()
    outputs = {out.path: out.md5 for record in records.values() for out in record.outs}
    seen = {dep.path: dep.md5 for dep in records["generation"].deps} if "generation" in records else {}
    for part in PARTS:
        path = (DATA / part).as_posix()
        if path in seen and outputs.get(path, seen[path]) != seen[path]:
            yield f"data/generation was measured on another {path}; run `dvc repro` before promoting"


def _author() -> str:
    return git_user() or getpass.getuser()
