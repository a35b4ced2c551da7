"""Whether files are the ones that were made and that their gates passed.

A stage leaves `files.json` in its folder, with the sha256 of everything that it wrote. A pass marker holds the sha256 of
everything that its gate judged. A stage without a folder of its own, which makes one shard, leaves no list; the rows of its
files carry checksums.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rectok.artifacts import DATA, SHARDED, STAGES, check_file, passed_file, read_marker, stage_dir, within
from rectok.errors import UserError
from rectok.pipeline import lock
from rectok.pipeline.damage import md5_of
from rectok.pipeline.hashes import hashes_of
from rectok.pipeline.lock import Record
from rectok.storage.folder import LIST, read_list, write_list

ADVICE = "`rectok verify` says whether it is damaged and what to do"


@dataclass(frozen=True)
class _Expected:
    """sha256 by path, and who vouches for it; `files` are those to compare."""

    voucher: str
    hashes: Mapping[str, str]
    files: tuple[Path, ...]


def record_made(stage: str) -> None:
    """List what the stage wrote into its folder."""
    if stage in STAGES and stage not in SHARDED and stage_dir(stage).is_dir():
        write_list(stage_dir(stage))


def not_as_made(stage: str, hashes: Mapping[str, str]) -> str:
    """A sentence about the first file of data/<stage> that is not what the stage wrote; empty where there is none or no list.

    `hashes` are those of the files that lie there, by path.
    """
    made = _made(stage, DATA)
    files = {name: sha256 for name, sha256 in hashes.items() if Path(name).name != LIST}
    return _difference(made, files, f"{DATA / stage / LIST} lists") if made else ""


def require_judged(paths: Iterable[str | Path], besides: str = "", data: Path = DATA) -> None:
    """Raise UserError where a file in or at one of `paths` is not what its gate passed; before a gate, what its stage wrote.

    Files of which neither is recorded are not compared, nor are those of the stage `besides`, whose gate is about to judge them.
    `data` is the folder data/ of a project that may lie elsewhere.
    """
    for stage, places in _by_stage(paths, data).items():
        if stage == besides:
            continue
        for expected in _expectations(stage, places, data):
            names = {file: (DATA / file.relative_to(data)).as_posix() for file in expected.files}
            hashes = {names[Path(path)]: sha256 for path, sha256 in hashes_of(names).items()}
            if sentence := _difference(expected.hashes, hashes, expected.voucher):
                raise UserError(sentence)


def require_artifact(path: Path) -> None:
    """The same for the folder of a stage, or a file in it, in any project. Other paths are taken as they are."""
    folder = path if path.is_dir() else path.parent
    if folder.name in STAGES:
        require_judged([path], data=folder.parent)


def require_recorded(paths: Iterable[str | Path]) -> None:
    """Raise UserError where a gate's report in or at one of `paths` is not the one that dvc.lock records.

    A report says of whole files whether they are good, so nothing but its own hash shows that it was changed.
    """
    checks = check_file("").parent
    reports = [file for path in map(Path, paths) if path.is_relative_to(checks) for file in _files(path)]
    records = lock.read() if reports else {}
    for report in reports:
        if sentence := changed_report(report, records):
            raise UserError(sentence)


def changed_report(report: Path, records: Mapping[str, Record], root: Path = Path()) -> str:
    """A sentence where the report of the project at `root` is not the one that dvc.lock records; empty where none is recorded."""
    hashes = {out.path: out.md5 for record in records.values() for out in record.outs}
    name = report.as_posix()
    if hashes.get(name) in (None, md5_of(root / report)):
        return ""
    return f"{name} is not the report that dvc.lock records; {ADVICE}"


def _difference(expected: Mapping[str, str], hashes: Mapping[str, str], voucher: str) -> str:
    for name in sorted(expected.keys() | hashes.keys()):
        if name not in hashes:
            return f"{name} is missing, which {voucher}; {ADVICE}"
        if hashes[name] != expected.get(name):
            return f"{name} is not the file that {voucher}; {ADVICE}"
    return ""


def _expectations(stage: str, places: list[Path], data: Path) -> Iterable[_Expected]:
    """What is recorded of the files at `places`, which lie in data/<stage>."""
    files = [file for place in places for file in _files(place)]
    markers = {file: within(data, _marker(stage, file)) for file in files}
    judged = tuple(file for file in files if markers[file].exists())
    recorded = {marker: read_marker(marker) for marker in sorted({markers[file] for file in judged})}
    hashes = {name: sha256 for marker in recorded.values() for name, sha256 in marker.items()}
    yield _Expected(f"gate {stage} passed", _below(hashes, places, data), judged)
    made = _made(stage, data)
    if made and not judged:
        listed = tuple(file for file in files if file.name != LIST)
        yield _Expected(f"{DATA / stage / LIST} lists", _below(made, places, data), listed)


def _made(stage: str, data: Path) -> dict[str, str]:
    folder = data / stage
    listed = read_list(str(folder)) if (folder / LIST).exists() else {}
    return {(DATA / stage / name).as_posix(): sha256 for name, sha256 in listed.items()}


def _below(hashes: Mapping[str, str], places: list[Path], data: Path) -> dict[str, str]:
    """Those of the files at or below one of `places`."""
    roots = [DATA / place.relative_to(data) for place in places]
    return {name: sha256 for name, sha256 in hashes.items() if any(Path(name).is_relative_to(root) for root in roots)}


def _by_stage(paths: Iterable[str | Path], data: Path) -> dict[str, list[Path]]:
    places: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        stage = path.relative_to(data).parts[0] if path.is_relative_to(data) and path != data else ""
        if stage in STAGES and path.exists():
            places.setdefault(stage, []).append(path)
    return places


def _files(path: Path) -> Iterable[Path]:
    """The file, or the files below the folder, but for temporary ones."""
    return (each for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file() and each.name[0] != ".")


def _marker(stage: str, file: Path) -> Path:
    return passed_file(stage, file.name.partition(".")[0] if stage in SHARDED else None)
