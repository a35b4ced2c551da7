"""Free disk space, and links between DVC's cache and the workspace."""

import shutil
import tempfile
from pathlib import Path

from rectok.artifacts import DATA
from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn

GB = 1e9
AMPLE = 1.5
"""Free space for a second experiment, as a multiple of the planned size."""


def free_space(need: float) -> Diagnosis:
    """Compare free space with the `need` of a whole run in bytes, less the size of data/."""
    free = _free()
    here = sum(path.lstat().st_size for path in DATA.rglob("*") if path.is_file()) if DATA.exists() else 0
    detail = f"{free / GB:.1f} GB free; a whole run takes {need / GB:.2f} GB, of which {here / GB:.2f} GB lie here"
    if free + here < need:
        return fail("disk", detail, "free some space, or put the project on a larger disk")
    if free + here < AMPLE * need:
        return warn("disk", detail, "a second experiment will not fit; `dvc gc --workspace` drops old versions")
    return ok("disk", detail)


def unknown_need(reason: str) -> Diagnosis:
    """Free space where nothing says how much a run needs."""
    return warn("disk", f"{_free() / GB:.1f} GB free", reason)


def _free() -> int:
    """Bytes free where data/ lies or will lie."""
    return shutil.disk_usage(DATA if DATA.exists() else Path()).free


def links() -> Diagnosis:
    """Check that the workspace can hold links into DVC's cache. Otherwise every artefact lies on disk twice."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(".")
    except DvcException:
        return fail("cache links", "this is no DVC project", "run `git init` and `dvc init` here, or go to the project")
    with repo:
        configured = list(repo.cache.local.cache_types)
        cache = Path(repo.cache.local.path)
    possible = _possible_links(cache)
    used = next((kind for kind in configured if kind in possible), "copy")
    detail = f"cache.type is {', '.join(configured)}, and DVC uses {used} ({cache})"
    if used != "copy":
        return ok("cache links", detail)
    if possible:
        remedy = f"`dvc config cache.type {','.join(possible)}`, or every artefact lies on disk twice"
        return warn("cache links", detail, remedy)
    return warn("cache links", detail, "put cache and project on one file system (`dvc cache dir PATH`)")


def _possible_links(cache: Path) -> list[str]:
    """The kinds of link from this folder into the cache, best first."""
    from dvc_objects.fs.generic import test_links
    from dvc_objects.fs.local import localfs

    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=".", prefix=".doctor.") as here:
        return list(test_links(["reflink", "hardlink", "symlink"], localfs, str(cache), localfs, str(Path(here))))
