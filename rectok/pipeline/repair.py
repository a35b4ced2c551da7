"""Makes a damaged artefact again, so that nothing takes the damaged one any more.

DVC's run cache keeps every result by command, dependencies and parameters, and serves the newest to `dvc repro` and experiments.
Damage that was recorded stays there beside the result that `dvc repro --force` makes, and is the newer one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rectok.errors import UserError
from rectok.pipeline import lock
from rectok.pipeline.damage import cached_files, is_damaged
from rectok.pipeline.graph import Cache, Stage
from rectok.pipeline.lock import Record
from rectok.pipeline.process import DVC, run_to_end
from rectok.yaml_text import load_as_dvc


@dataclass(frozen=True)
class Repaired:
    """A stage that was made again, and what was removed: results in the run cache, and damaged files in DVC's cache."""

    stage: str
    results: tuple[Path, ...]
    damaged: tuple[Path, ...]


def repair(stage: Stage, cache: Cache) -> Repaired:
    """Remove the results of today's inputs and of damaged files from the run cache, and the files, and make the stage again.

    Results of other parameters, such as those of experiments, stay. Raises UserError where the stage fails.
    """
    record = lock.read().get(stage.address)
    entries = dict(_entries(stage.command, cache.runs))
    records = [*entries.values(), *([record] if record else [])]
    files = {
        file for each in records for out in each.outs for file in cached_files(cache.files, out.md5) if file.exists()
    }
    damaged = {file for file in files if is_damaged(file)}
    bad = [
        path for path, entry in entries.items() if _same_inputs(entry, record) or _holds(entry, damaged, cache.files)
    ]
    for path in (*bad, *damaged):
        path.unlink()
    if run_to_end((*DVC, "repro", "--force", "--single-item", stage.address), Path()).returncode:
        raise UserError(f"{stage.address} failed; its message stands above")
    return Repaired(stage.address, tuple(bad), tuple(sorted(damaged)))


def _entries(command: str, runs: Path) -> Iterator[tuple[Path, Record]]:
    """What the run cache has of a command, by file. One that cannot be read is none, as for DVC."""
    for path in runs.glob("??/*/*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if f"cmd: {command}\n" not in text:  # parsing takes far longer
            continue
        try:
            yield path, lock.record_of(load_as_dvc(text))
        except lock.DAMAGE:
            path.unlink()


def _same_inputs(entry: Record, record: Record | None) -> bool:
    return record is not None and (entry.deps, entry.params, entry.code_version) == (
        record.deps, record.params, record.code_version,
    )  # fmt: skip


def _holds(entry: Record, damaged: set[Path], files: Path) -> bool:
    return any(file in damaged for out in entry.outs for file in cached_files(files, out.md5))
