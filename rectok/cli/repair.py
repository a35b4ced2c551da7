"""`rectok repair`: a damaged artefact is made again, and no experiment takes the damaged one."""

from pathlib import Path
from typing import Annotated

import typer


def repair(
    target: Annotated[str, typer.Argument(help="Stage such as shards@00000; without a shard all of its shards")],
) -> None:
    """Make a stage again, and drop what DVC's run cache holds of it: damaged results would come back in experiments."""
    from rectok.pipeline.graph import named, read_cache, read_stages
    from rectok.pipeline.repair import repair as repair_stage

    stages, cache = read_stages(Path()), read_cache()
    for address in named(stages, target):
        done = repair_stage(stages[address], cache)
        files = f" and {len(done.damaged)} damaged files from DVC's cache" if done.damaged else ""
        typer.echo(f"{address} was made again; {len(done.results)} results were dropped from the run cache{files}")
        if cache.remotes and done.results:
            names = ", ".join(f"runs/{path.relative_to(cache.runs)}" for path in done.results)
            typer.echo(
                f"a remote ({', '.join(cache.remotes)}) keeps what `dvc push --run-cache` sent there; remove {names} in it, or "
                "`dvc pull --run-cache` brings the dropped results back"
            )
    typer.echo("next: dvc repro")
