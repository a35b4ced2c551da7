"""The project's generator as one folder, for `rectok export --format hub`, and `rectok push`, which uploads it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from rectok import artifacts
from rectok.cli.images import project_params
from rectok.errors import UserError

if TYPE_CHECKING:
    from rectok.sampling.sampler_config import SamplingConfig


def push(
    repository: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The repository, created if need be")],
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="What `rectok export --format hub` wrote; the pipeline's networks if empty"),
    ] = None,
    private: Annotated[bool, typer.Option(help="Create a private repository")] = False,
) -> None:
    """Upload all that sampling needs, with a model card, to Hugging Face's hub. `hf auth login` keeps the token."""
    from rectok.interop import hub_remote

    hub_remote.require_repository(repository, "must be the name of a repository such as org/name")
    for name in ("config.json", "README.md"):  # all of the folder is uploaded, so it must be the one that is meant
        if folder is not None and not (folder / name).exists():
            raise UserError(f"{folder} is no folder that `rectok export --format hub` wrote: it has no {name}")
    if folder is not None and not (folder / "model.safetensors").exists():  # a generator, whose parts must all be there
        from rectok.api import Generator

        Generator.from_pretrained(folder, device="cpu")
    with TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary) / "hub"
            write_hub_folder(folder, name=repository)
        typer.echo(f"pushed to {hub_remote.push(folder, repository, private)}")


def write_hub_folder(out: Path, source: Path | None = None, name: str = ".") -> None:
    """Write the generator below `source`, or the pipeline's, to `out`. In the model card the folder is called `name`."""
    from rectok.api import Generator
    from rectok.interop.hub import write_generator
    from rectok.reporting.model_card import render
    from rectok.reporting.model_facts import generator_facts

    data = source or artifacts.DATA
    parts = Generator.load(data, device="cpu").parts
    sampling = _sampling(data, parts.dit.config.classes)
    if sampling.guidance.kind == "autoguidance" and not sampling.guidance.neutral and parts.autoguidance is None:
        raise UserError(
            f"generation.guidance.kind is autoguidance, but {artifacts.stage_dir('autoguidance')} is missing; "
            "`dvc repro autoguidance` makes it"
        )
    write_generator(parts, sampling, render(generator_facts(parts, data), name), out)


def _sampling(data: Path, count: int) -> "SamplingConfig":
    """How the project samples, and the `count` classes of its index; without guidance where it has not made `data`."""
    from rectok.sampling.sampler_config import UNGUIDED, SamplingConfig

    params = project_params() if data == artifacts.DATA else None
    usual = params.generation if params else UNGUIDED
    index = artifacts.within(data, artifacts.classes_file())
    classes = artifacts.read_json(index, list) if index.exists() else []
    if not all(isinstance(name, str) for name in classes):
        raise UserError(f"{index} is damaged: it must hold the names of the classes as text")
    return SamplingConfig(
        classes=tuple(classes) if len(classes) == count else (),  # a generator from elsewhere may have others
        sampler=usual.sampler.model_copy(update={"fp8": False}),  # a matter of the GPU, not of the generator
        guidance=usual.guidance,
        rounding=usual.rounding,
    )
