"""Files of weights and statistics that parameters name."""

from collections.abc import Iterator
from pathlib import Path

from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.params import Params
from rectok.params.files import named_files
from rectok.storage.client import S3
from rectok.storage.hashing import sha256_file
from rectok.teacher.network_config import TIMM, TORCH_FIDELITY


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
    if path in (TIMM, TORCH_FIDELITY, *_libraries()):
        return warn(title, f"{path} downloads them on first use", "docs/guides/weights.md pins a file instead")
    if path.startswith(S3):
        return ok(title, f"{path} is checked on reading (see credentials)")
    if not Path(path).is_file():
        return fail(title, f"{path} does not exist", f"put the file there, or change {name}")
    if sha256 and (actual := sha256_file(Path(path))) != sha256.lower():
        return fail(title, f"{path} has sha256 {actual}", f"{name} needs {sha256}: get that file, or change the hash")
    return ok(title, f"{path} exists" + (" with its sha256" if sha256 else ""))


def _libraries() -> tuple[str, ...]:
    from rectok.losses.loss_config import PerceptualFile

    return PerceptualFile.libraries
