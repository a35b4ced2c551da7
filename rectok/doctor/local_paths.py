"""Local files and folders that parameters name. A table of labels must be readable, folders for artefacts writable."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok
from rectok.params import Params
from rectok.storage.client import S3


def labels(params: Params) -> Iterator[Diagnosis]:
    """One diagnosis if `index.labels` names a local table."""
    table = params.index.labels
    if table.startswith(S3) or not table.endswith((".csv", ".json")):
        return
    try:
        with Path(table).open("rb") as file:
            file.read(1)
    except OSError as error:
        yield fail(
            "index.labels", f"{table} cannot be read: {error.strerror}", "put the table there, or change index.labels"
        )
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
