"""`rectok init`, `rectok shards-count` and `rectok migrate-params`: params.yaml and the other files of a project.

A wheel holds those others in rectok/template. In a clone they are the clone's own, as its pyproject.toml lists them.
"""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

import rectok
from rectok.errors import UserError
from rectok.files import write_bytes, write_text
from rectok.params import load, parse, preset_names, preset_text
from rectok.params.editing import edited, read, shard_names
from rectok.params.loading import PARAMS_FILE, read_file
from rectok.params.presets import completed
from rectok.params.renamed import migrated, old_folders

MOST_SHARDS = 100_000
"""Names have five digits."""
PACKAGE = Path(rectok.__file__).parent
PIPELINE = ("dvc.yaml", "versions.yaml")
"""What follows the version of this package; all else belongs to the project."""
OWN_IMAGES = "photos"
FROM_FOLDER = (
    "`rectok init --from FOLDER --force` looks at your images and fills in their source, labels, lengths of training and "
    "batches that fit this machine"
)
LOCAL = Path(".dvc/config.local")
WITHOUT_GIT = "[core]\n    no_scm = true\n"


def init(
    preset: Annotated[str, typer.Argument(help="One of the presets, e.g. digits")] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="FOLDER", help="Look at these images and write parameters that fit them")
    ] = "",
    size: Annotated[int, typer.Option(help="With --from: side in pixels of the images that are learnt")] = 64,
    labels: Annotated[str, typer.Option(help="With --from: index.labels, such as none for unlabelled images")] = "auto",
    image: Annotated[
        str, typer.Option(help="With --from: index.image, such as jpg or a column, where several images could be meant")
    ] = "",
    force: Annotated[bool, typer.Option(help="Replace an existing params.yaml")] = False,
    upgrade: Annotated[
        bool, typer.Option(help="Replace the dvc.yaml of a project that an older version made; params.yaml stays")
    ] = False,
) -> None:
    """Make this folder a project: write params.yaml from a preset or for your images, and whatever `dvc repro` needs."""
    if upgrade:
        _upgrade(preset or source)
        return
    if bool(preset) == bool(source):
        raise UserError(f"init needs either --from FOLDER or a preset, one of {', '.join(preset_names())}")
    if preset not in preset_names() and Path(preset).is_dir() and not source:
        raise UserError(f"{preset} is a folder and no preset; `rectok init --from {preset}` looks at its images")
    if source and PARAMS_FILE.exists() and not force:
        raise UserError(f"{PARAMS_FILE} exists, so this folder is a project already; add --force to replace it")
    text = _parameters_for(source, labels, size, image) if source else preset_text(preset)
    parse(text, f"preset {preset}")
    if PARAMS_FILE.exists() and PARAMS_FILE.read_text(encoding="utf-8") != text and not force:
        raise UserError(f"{PARAMS_FILE} exists and differs from preset {preset}; add --force to replace it")
    for sentence in write_missing():
        typer.echo(sentence)
    write_text(PARAMS_FILE, text)
    origin = f"for {source}" if source else f"from preset {preset} (presets: {', '.join(preset_names())})"
    typer.echo(f"wrote {PARAMS_FILE} {origin}; next: dvc repro")
    if preset == OWN_IMAGES:
        typer.echo(f"{preset} is the preset for images of your own in data/raw/photos. Better: {FROM_FOLDER}")


def _parameters_for(source: str, labels: str, size: int, image: str) -> str:
    from rectok.cli.from_folder import parameters_from  # it imports what reads images

    return parameters_from(source.rstrip("/") or "/", labels, size, image)


def _upgrade(preset: str) -> None:
    if preset:
        raise UserError("--upgrade takes no preset and no --from, for it leaves params.yaml alone")
    sentences = [*upgrade_pipeline(), *write_missing(), *old_folders()]
    for sentence in sentences or ["everything is that of this version"]:
        typer.echo(sentence)
    load()


def shards_count(count: Annotated[str, typer.Argument(metavar="N", help="Number of shards")]) -> None:
    """Make index.shards in params.yaml list N names; comments stay."""
    if not count.isdecimal() or not 0 < int(count) <= MOST_SHARDS:
        raise UserError(f"shards-count is {count!r}, but must be a whole number from 1 to {MOST_SHARDS}")
    names = shard_names(int(count))
    text = edited(read_file(PARAMS_FILE), {"index.shards": names})
    parse(text, str(PARAMS_FILE))
    write_text(PARAMS_FILE, text)
    typer.echo(f"index.shards in {PARAMS_FILE} lists {count} names, {names[0]} to {names[-1]}; next: dvc repro")


def migrate_params(
    file: Annotated[Path, typer.Argument(help="A params.yaml of an earlier version")] = PARAMS_FILE,
) -> None:
    """Give old parameters in params.yaml their new names and add those that are new; values, order and comments stay."""
    text = read_file(file)
    new, names = migrated(text, read(text, str(file)))
    new, added = completed(new)
    if new != text:
        write_text(file, new)
    if names:
        typer.echo(f"renamed in {file}: {', '.join(f'{old} is {now}' for old, now in names.items())}")
    else:
        typer.echo(f"{file} has no old name")
    if added:
        typer.echo(
            f"added to {file}, as in its preset: {', '.join(f'{key} {value!r}' for key, value in added.items())}"
        )
    for advice in old_folders():
        typer.echo(advice)
    parse(new, str(file))


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
    here = Path.cwd()
    in_git = any((folder / ".git").exists() for folder in (here, *here.parents))
    if not in_git and not LOCAL.exists():
        write_text(LOCAL, WITHOUT_GIT)
        yield f"wrote {LOCAL}: DVC works without git here; for a history, remove it and run `git init`"


def upgrade_pipeline() -> Iterator[str]:
    """Replace what follows the version of this package, keep a copy of what was there, and say so."""
    for path, content in sorted(template().items()):
        if str(path) not in PIPELINE or (path.exists() and path.read_bytes() == content):
            continue
        copy = path.with_name(f"{path.name}.bak")
        if path.exists():
            shutil.copyfile(path, copy)
        write_bytes(path, content)
        yield f"replaced {path}{f', whose old text is in {copy}' if copy.exists() else ''}"
