"""Whether files are the ones that their gates passed: pass markers hold the sha256 of everything that was judged."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rectok.artifacts import DATA, SHARDED, STAGES, passed_file, read_marker
from rectok.errors import UserError
from rectok.pipeline.hashes import hashes_of


def require_judged(paths: Iterable[str], besides: str = "") -> None:
    """Raise UserError where a file in or at one of `paths` is not what its gate passed.

    Files that no gate has passed are not compared, nor are those of the stage `besides`, whose gate is about to judge them.
    """
    for stage, files in _by_stage(paths).items():
        if stage == besides:
            continue
        judged: dict[str, str] = {}
        for marker in sorted({_marker(stage, file) for file in files}):
            if marker.exists():
                judged |= read_marker(marker)
        files = [file for file in files if _marker(stage, file).exists()]
        for name, digest in hashes_of(files).items():
            if judged.get(name) != digest:
                raise UserError(
                    f"{name} is not the file that gate {stage} passed; `rectok verify` says whether it is damaged and what to do"
                )


def _by_stage(paths: Iterable[str]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        stage = path.parts[1] if path.is_relative_to(DATA) and len(path.parts) > 1 else ""
        if stage in STAGES:
            files.setdefault(stage, []).extend(_files(path))
    return files


def _files(path: Path) -> Iterator[Path]:
    """The file, or the files below the folder, but for temporary ones."""
    return (each for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file() and each.name[0] != ".")


def _marker(stage: str, file: Path) -> Path:
    return passed_file(stage, file.name.partition(".")[0] if stage in SHARDED else None)
