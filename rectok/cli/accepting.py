"""`rectok accept`: what a person has looked at becomes what later artefacts are compared with."""

from typing import Annotated, Literal

import typer

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import load


def accept(what: Annotated[Literal["index"], typer.Argument(help="What to accept: index")]) -> None:
    """Keep a summary of the index in data/accepted, from which `gate-index` measures the drift of later ones."""
    params = load()
    report = artifacts.check_file(what)
    if not artifacts.passed_file(what).exists():
        said = f"gate {what} failed (see {report})" if report.exists() else f"gate {what} has not run"
        raise UserError(f"{said}; run `dvc repro gate-{what}` first, and mend what it finds or change its thresholds")
    from rectok.gates.drift import summary

    found, _ = summary(params)
    artifacts.write_json(artifacts.accepted_file(), found.model_dump())
    typer.echo(
        f"accepted {found.images} images of {len(found.classes)} classes: {artifacts.accepted_file()}; "
        f"commit it to git, so that who accepted it and why is kept"
    )
