"""`rectok repair`: a damaged artefact is made again, and no experiment takes the damaged one."""

from pathlib import Path
from typing import Annotated

import typer


def repair(
    target: Annotated[str, typer.Argument(help="Stage such as shards@00000; without a shard all of its shards")],
) -> None:
    """Make a stage again, and drop what DVC's run cache holds of it: damaged results would come back in experiments."""
    from rectok.pipeline.graph import named, read_stages
    from rectok.pipeline.repair import repair as repair_stage

    stages = read_stages(Path())
    for address in named(stages, target):
        done = repair_stage(stages[address])
        files = f" and {len(done.damaged)} damaged files from DVC's cache" if done.damaged else ""
        typer.echo(f"{address} was made again; {done.results} results were dropped from the run cache{files}")
    typer.echo("next: dvc repro")
