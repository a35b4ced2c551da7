"""`rectok verify`: whether the artefacts are what was made."""

import typer

from rectok.errors import UserError


def verify() -> None:
    """Read every artefact in data/ and in DVC's cache again, and name what is damaged and how it comes back."""
    from rectok.pipeline import lock
    from rectok.pipeline.damage import damages
    from rectok.pipeline.graph import read_cache

    records = lock.read()
    damaged = damages(records, read_cache().files)
    for each in damaged:
        typer.echo(each.sentence)
    if damaged:
        raise UserError(f"{len(damaged)} of the artefacts that dvc.lock records are not as they were made; see above")
    typer.echo(f"the artefacts of {len(records)} stages are as they were made")
