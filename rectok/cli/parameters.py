"""`rectok init`, `rectok shards-count` and `rectok migrate-params`: what stands in params.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from rectok.cli import template
from rectok.errors import UserError
from rectok.files import write_text
from rectok.params import load, parse, preset_names, preset_text
from rectok.params.editing import edited, read, shard_names
from rectok.params.loading import PARAMS_FILE, read_file
from rectok.params.renamed import migrated, old_folders

MOST_SHARDS = 100_000
"""Names have five digits."""


def init(
    preset: Annotated[str, typer.Argument(help="One of the presets, e.g. digits")] = "",
    force: Annotated[bool, typer.Option(help="Replace an existing params.yaml")] = False,
    upgrade: Annotated[
        bool, typer.Option(help="Replace the dvc.yaml of a project that an older version made; params.yaml stays")
    ] = False,
) -> None:
    """Make this folder a project: write params.yaml from a preset, and whatever `dvc repro` needs."""
    if upgrade:
        _upgrade(preset)
        return
    if not preset:
        raise UserError(f"init needs a preset, one of {', '.join(preset_names())}")
    text = preset_text(preset)
    parse(text, f"preset {preset}")
    if PARAMS_FILE.exists() and PARAMS_FILE.read_text(encoding="utf-8") != text and not force:
        raise UserError(f"{PARAMS_FILE} exists and differs from preset {preset}; add --force to replace it")
    for sentence in template.write_missing():
        typer.echo(sentence)
    write_text(PARAMS_FILE, text)
    typer.echo(f"wrote {PARAMS_FILE} from preset {preset} (presets: {', '.join(preset_names())}); next: dvc repro")


def _upgrade(preset: str) -> None:
    if preset:
        raise UserError("--upgrade takes no preset, for it leaves params.yaml alone")
    sentences = [*template.upgrade(), *template.write_missing(), *old_folders()]
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
    """Give old parameters in params.yaml their new names; values, order and comments stay."""
    text = read_file(file)
    new, names = migrated(text, read(text, str(file)))
    if names:
        write_text(file, new)
        typer.echo(f"renamed in {file}: {', '.join(f'{old} is {now}' for old, now in names.items())}")
    else:
        typer.echo(f"{file} has no old name")
    for advice in old_folders():
        typer.echo(advice)
    parse(new, str(file))
