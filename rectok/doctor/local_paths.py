"""Local files and folders that parameters name: a table of labels must be readable, places for artefacts writable."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok
from rectok.params import Params
from rectok.storage.client import S3


def labels(params: Params) -> Iterator[Diagnosis]:
    """One finding where `index.labels` names a table on this machine."""
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
    """One finding for each of `storage` that is a folder."""
    for name, place in params.storage.model_dump().items():
        if place and not place.startswith(S3):
            yield _written(f"storage.{name}", Path(place))


def _written(name: str, folder: Path) -> Diagnosis:
    """Write a file there, or where the folder would be made, which lasts as long as it is open."""
    try:
        there = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path())
        with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor.") as file:
            file.write(b"rectok doctor")
            file.flush()
    except OSError as error:
        remedy = f"mount it, mend its rights or free some space, or change {name}"
        return fail(name, f"{folder} cannot be written: {error.strerror}", remedy)
    return ok(name, f"{folder} can be written")
