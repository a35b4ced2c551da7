"""The files of a project besides params.yaml, which `rectok init` writes: dvc.yaml, DVC's settings and others.

A wheel holds them in rectok/template. In a clone they are the clone's own, as its pyproject.toml lists them.
"""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import rectok
from rectok.files import write_bytes, write_text

PACKAGE = Path(rectok.__file__).parent
PIPELINE = ("dvc.yaml", "versions.yaml")
"""What follows the version of this package; all else belongs to the project."""
LOCAL = Path(".dvc/config.local")
WITHOUT_GIT = "[core]\n    no_scm = true\n"


def template() -> dict[Path, bytes]:
    """The content of every file, by its path in a project."""
    folder = PACKAGE / "template"
    if folder.exists():
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    clone = PACKAGE.parent
    hatch = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    return {Path(name): (clone / name).read_bytes() for name in hatch["wheel"]["force-include"]}


def write_missing() -> Iterator[str]:
    """Write the files that this folder lacks, and say which. One that is there stays, and where it differs that is said."""
    written = []
    for path, content in sorted(template().items()):
        if not path.exists():
            write_bytes(path, content)
            written.append(str(path))
        elif path.read_bytes() != content:
            hint = "; `rectok init --upgrade` replaces it" if str(path) in PIPELINE else ""
            yield f"kept {path}, which is not that of this version{hint}"
    if written:
        yield f"wrote {', '.join(written)}"
    if not _in_git() and not LOCAL.exists():
        write_text(LOCAL, WITHOUT_GIT)
        yield f"wrote {LOCAL}: DVC works without git here; for a history, remove it and run `git init`"


def upgrade() -> Iterator[str]:
    """Replace what follows the version of this package, keep a copy of what was there, and say so."""
    for path, content in sorted(template().items()):
        if str(path) not in PIPELINE or (path.exists() and path.read_bytes() == content):
            continue
        copy = path.with_name(f"{path.name}.bak")
        if path.exists():
            shutil.copyfile(path, copy)
        write_bytes(path, content)
        yield f"replaced {path}{f', whose old text is in {copy}' if copy.exists() else ''}"


def _in_git() -> bool:
    here = Path.cwd()
    return any((folder / ".git").exists() for folder in (here, *here.parents))
