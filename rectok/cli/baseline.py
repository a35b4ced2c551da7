"""`rectok accept`: what a person has looked at becomes what later artefacts are compared with."""

from typing import Annotated, Literal

import typer

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import load


def accept(what: Annotated[Literal["index"], typer.Argument(help="What to accept: index")]) -> None:
    """Keep a summary of the index in data/baseline, from which `gate-index` measures the drift of later ones."""
    params = load()
    report = artifacts.check_file(what)
    if not report.exists():
        raise UserError(f"gate {what} has not run; run `dvc repro gate-{what}` first")
    from rectok.checks.drift import NAMES, summary

    # Drift is what is accepted here; what fails for any other reason is of no use to measure later ones by.
    failed = [check.name for check in artifacts.read_report(report).errors if check.name not in NAMES]
    if failed:
        raise UserError(
            f"gate {what} failed for more than drift: {', '.join(failed)} (see {report}); mend what it found or change its "
            f"thresholds, and run `dvc repro gate-{what}`"
        )
    found, _ = summary(params)
    artifacts.write_json(artifacts.baseline_file(), found.model_dump())
    typer.echo(
        f"accepted {found.images} images of {len(found.classes)} classes: {artifacts.baseline_file()}; "
        f"commit it to git, so that who accepted it and why is kept"
    )
