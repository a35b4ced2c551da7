"""A DVC workspace for every run of an ablation: its own parameters and outputs, the project's cache and lock.

It is a folder with copies of dvc.yaml and dvc.lock, and changed parameters. So `dvc repro` there reruns only what they reach,
takes the rest from the cache, and goes on where it was stopped.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rectok.ablation.spec import Cell, Changes, Spec, cells
from rectok.artifacts import BASELINE, DATA, read_json
from rectok.errors import UserError
from rectok.files import write_text
from rectok.params import Params, parse
from rectok.params.editing import edited
from rectok.params.files import inputs
from rectok.params.loading import PARAMS_FILE
from rectok.pipeline.code_versions import VERSIONS_FILE, read_versions
from rectok.reporting.summary import EVALUATIONS

DVC_YAML, DVC_LOCK = Path("dvc.yaml"), Path("dvc.lock")
CONFIG = """[core]
    no_scm = true
    analytics = false
    check_update = false
[cache]
    dir = {cache}
    type = "reflink,hardlink,symlink"
"""


@dataclass(frozen=True)
class Workspace:
    """The folder of one run, below the project's data/ablations/<ablation>/, where `targets` are made."""

    cell: Cell
    folder: Path
    targets: tuple[str, ...]

    @property
    def log(self) -> Path:
        """What `dvc repro` printed there."""
        return self.folder / "run.log"

    @property
    def result(self) -> Path:
        """The metrics, once the run is whole."""
        return self.folder / "result.json"

    @property
    def params(self) -> Path:
        """Its parameters."""
        return self.folder / PARAMS_FILE

    def done(self) -> bool:
        """Whether the metrics there belong to the parameters there and the code here, and no target's are missing."""
        if not self.result.exists():
            return False
        record, targets = read_json(self.result), {target.removeprefix("gate@") for target in self.targets}
        if record.get("versions", {}) != read_versions() or "metrics" not in record:  # the latter by an older version
            return False
        measured = targets & set(EVALUATIONS) <= set(record["metrics"]["protocol"])
        return measured and bool(record["params"] == self.params.read_text(encoding="utf-8"))


def located(name: str, spec: Spec, cell: Cell) -> Workspace:
    """The workspace of `cell` as it is, perhaps not there yet."""
    return Workspace(cell, DATA / "ablations" / name / cell.name, spec.targets)


def check_params(name: str, spec: Spec) -> None:
    """Raise UserError where the changed parameters of a run, or of what the runs share, are not valid. Writes nothing."""
    if spec.shared:
        _changed(spec.set, _origin(name))
    for cell in cells(spec):
        _changed(cell.changes(spec), _origin(name, cell))


def prepare(name: str, spec: Spec, cell: Cell) -> Workspace:
    """Make or renew the workspace of `cell`. Raises UserError where the changed parameters are not valid."""
    workspace = located(name, spec, cell)
    locks = (_shared(name) / DVC_LOCK, DVC_LOCK)
    _prepare(workspace.folder, cell.changes(spec), locks, _origin(name, cell))
    return workspace


def prepare_shared(name: str, spec: Spec) -> Path:
    """Make or renew the workspace of what the rows share: it has the changes of all rows and of none alone."""
    _prepare(_shared(name), spec.set, (DVC_LOCK,), _origin(name))
    return _shared(name)


def _shared(name: str) -> Path:
    return DATA / "ablations" / name / "shared"


def _origin(name: str, cell: Cell | None = None) -> str:
    """Where changes come from, for messages."""
    return f"row {cell.name} of ablation {name}" if cell else f"ablation {name}"


def _changed(changes: Changes, origin: str) -> tuple[str, Params]:
    """The project's parameters with `changes`, as text and parsed."""
    text = edited(PARAMS_FILE.read_text(encoding="utf-8"), changes)
    return text, parse(text, origin)


def _prepare(folder: Path, changes: Changes, locks: Sequence[Path], origin: str) -> None:
    """A workspace in `folder`, which knows what the first lock that is there has recorded."""
    text, params = _changed(changes, origin)
    write_text(folder / PARAMS_FILE, text)
    if not Path(".dvc").is_dir():
        raise UserError("this folder is no DVC project, for it has no .dvc; run the ablation where dvc.yaml lies")
    write_text(folder / ".dvc" / "config", CONFIG.format(cache=Path(".dvc/cache").resolve()))
    renew_pipeline(folder)
    lock = next((lock for lock in locks if lock.exists()), None)
    if lock and not (folder / DVC_LOCK).exists():
        _copy(lock, folder / DVC_LOCK)
    _link_inputs(folder, params)


def renew_pipeline(folder: Path) -> None:
    """Copy the project's pipeline and code versions, so that the workspace runs the code that there is now."""
    for path in (DVC_YAML, VERSIONS_FILE):
        if path.exists():
            _copy(path, folder / path)


def _link_inputs(folder: Path, params: Params) -> None:
    """Link what lies in the project: images, labels, weights, baseline. Raises UserError for a relative path out of it."""
    named = {"": str(DATA / "raw"), "baseline": str(BASELINE), **inputs(params)}
    # A folder comes before what lies in it.
    for name, text in sorted(named.items(), key=lambda each: len(Path(each[1]).parts)):
        source = Path(text)
        if source.is_absolute() or not source.exists():  # a bucket, a library, or missing, of which the stage tells
            continue
        if ".." in source.parts:
            raise UserError(f"{name} is {text}, outside of the project; for an ablation give its absolute path")
        link = folder / source
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(source, link.parent), target_is_directory=source.is_dir())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
