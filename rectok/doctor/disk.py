"""Room for what a run makes, and whether DVC's cache can share it with the workspace instead of copying."""

import shutil
import tempfile
from pathlib import Path

from rectok.artifacts import DATA
from rectok.doctor.diagnosis import Diagnosis, fail, ok, warn
from rectok.errors import UserError
from rectok.params import Params

GB = 1e9
AMPLE = 1.5
"""Times the planned size that leaves room for a second experiment."""


def room(params: Params) -> Diagnosis:
    """Free space against what `rectok plan` counts for these parameters, less what lies here already."""
    from rectok.planning.plan import make_plan  # with torch, which takes seconds

    free = shutil.disk_usage(_existing(DATA)).free
    try:
        need = sum(make_plan(params, None, 1, [], indexed=True).disk.values())
    except UserError as error:
        return warn("disk", f"{free / GB:.1f} GB free", str(error))
    here = sum(path.lstat().st_size for path in DATA.rglob("*") if path.is_file()) if DATA.exists() else 0
    found = f"{free / GB:.1f} GB free; a whole run takes {need / GB:.2f} GB, of which {here / GB:.2f} GB lie here"
    if free + here < need:
        return fail("disk", found, "free some space, or put the project on a larger disk")
    if free + here < AMPLE * need:
        return warn("disk", found, "a second experiment will not fit; `dvc gc --workspace` drops old versions")
    return ok("disk", found)


def links() -> Diagnosis:
    """Whether the workspace can hold links into DVC's cache: otherwise every artefact lies on disk twice."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(".")
    except DvcException:
        return fail("cache links", "this is no DVC project", "run `git init` and `dvc init` here, or go to the project")
    with repo:
        asked = list(repo.cache.local.cache_types)
        cache = Path(repo.cache.local.path)
    able = _possible(cache)
    used = next((kind for kind in asked if kind in able), "copy")
    found = f"DVC asks for {', '.join(asked)} and gets {used} ({cache})"
    if used != "copy":
        return ok("cache links", found)
    if able:
        remedy = f"`dvc config cache.type {','.join(able)}`, or every artefact lies on disk twice"
        return warn("cache links", found, remedy)
    return warn("cache links", found, "put cache and project on one file system (`dvc cache dir PATH`)")


def _possible(cache: Path) -> list[str]:
    """The kinds of link that a file of this folder can be into the cache, best first."""
    from dvc_objects.fs.generic import test_links
    from dvc_objects.fs.local import localfs

    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=".", prefix=".doctor.") as here:
        return list(test_links(["reflink", "hardlink", "symlink"], localfs, str(cache), localfs, str(Path(here))))


def _existing(path: Path) -> Path:
    return path if path.exists() else Path()
