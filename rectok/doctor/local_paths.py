"""Local files and folders that parameters name. Labels and weights must be readable, folders for artefacts writable."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.losses.loss_config import PerceptualFile
from rectok.params import Params
from rectok.params.files import named_files
from rectok.storage.client import S3
from rectok.storage.hashing import sha256_file
from rectok.teacher.network_config import TIMM, TORCH_FIDELITY


def labels(params: Params) -> Iterator[Diagnosis]:
    """One diagnosis if `index.labels` names a local table."""
    table = params.index.labels
    if table.startswith(S3) or not table.endswith((".csv", ".json")):
        return
    try:
        with Path(table).open("rb") as file:
            file.read(1)
    except OSError as error:
        detail = f"{table} cannot be read: {error.strerror}"
        yield fail("index.labels", detail, "put the table there, or change index.labels")
        return
    yield ok("index.labels", f"{table} can be read")


def folders(params: Params) -> Iterator[Diagnosis]:
    """One diagnosis for each of `storage` that is a folder."""
    for name, path in params.storage.model_dump().items():
        if path and not path.startswith(S3):
            yield _write_to(f"storage.{name}", Path(path))


def _write_to(name: str, folder: Path) -> Diagnosis:
    """Write a temporary file there, or where the folder would be created."""
    try:
        existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path())
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor.") as file:
            file.write(b"rectok doctor")
            file.flush()
    except OSError as error:
        remedy = f"mount it, fix its permissions or free some space, or change {name}"
        return fail(name, f"{folder} cannot be written: {error.strerror}", remedy)
    return ok(name, f"{folder} can be written")


def weights(params: Params) -> Iterator[Diagnosis]:
    """One diagnosis for each file that parameters name, or a single one if they name none."""
    files = [*named_files(params)]
    if params.generation.reference:
        files.append(("generation.reference", params.generation.reference, ""))
    if not files:
        yield ok("weights", "parameters name no file; the run trains all networks")
    for name, path, sha256 in files:
        yield _check_file(name, path, sha256)


def _check_file(name: str, path: str, sha256: str) -> Diagnosis:
    title = f"weights {name}"
    if path in (TIMM, TORCH_FIDELITY, *PerceptualFile.libraries):
        return warn(title, f"{path} downloads them on first use", "docs/guides/weights.md pins a file instead")
    if path.startswith(S3):
        return ok(title, f"{path} is checked on reading (see credentials)")
    if not Path(path).is_file():
        return fail(title, f"{path} does not exist", f"put the file there, or change {name}")
    if sha256 and (actual := sha256_file(Path(path))) != sha256.lower():
        return fail(title, f"{path} has sha256 {actual}", f"{name} needs {sha256}: get that file, or change the hash")
    return ok(title, f"{path} exists" + (" with its sha256" if sha256 else ""))
