"""What comes from elsewhere: networks' weights and statistics."""

from collections.abc import Iterator
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.params import Params
from rectok.params.files import named_files
from rectok.storage.client import S3
from rectok.storage.hashing import sha256_file
from rectok.teacher.config import TIMM, TORCH_FIDELITY


def weights(params: Params) -> Iterator[Diagnosis]:
    """One finding for each file that parameters name; one in all where they name none."""
    files = [*named_files(params)]
    if params.generation.reference:
        files.append(("generation.reference", params.generation.reference, ""))
    if not files:
        yield ok("weights", "none are named: what a run needs is trained here")
    for name, path, sha256 in files:
        yield _weights(name, path, sha256)


def _weights(name: str, path: str, sha256: str) -> Diagnosis:
    title = f"weights {name}"
    if path in (TIMM, TORCH_FIDELITY, *_libraries()):
        return warn(
            title, f"{path} downloads them when they are first needed", "docs/guides/weights.md pins a file instead"
        )
    if path.startswith(S3):
        return ok(title, f"{path} is checked when it is read (see credentials)")
    if not Path(path).is_file():
        return fail(title, f"{path} does not exist", f"put the file there, or change {name}")
    if sha256 and (found := sha256_file(Path(path))) != sha256.lower():
        return fail(title, f"{path} has sha256 {found}", f"{name} asks for {sha256}: get that file, or change the hash")
    return ok(title, f"{path} is there" + (" with its sha256" if sha256 else ""))


def _libraries() -> tuple[str, ...]:
    from rectok.losses.config import PerceptualFile

    return PerceptualFile.libraries
