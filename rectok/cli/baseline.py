"""`rectok baseline`: an artefact that a person has checked becomes what later ones are compared with."""

from typing import Annotated, Literal

import typer

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import load
from rectok.pipeline.hashes import hashes_of


def baseline(artefact: Annotated[Literal["index"], typer.Argument(help="The artefact: index")]) -> None:
    """Keep a summary of the index in data/baseline; `gate-index` measures the drift of later ones from it."""
    params = load()
    report = artifacts.check_file(artefact)
    if not report.exists():
        raise UserError(f"gate {artefact} has not run; run `dvc repro gate-{artefact}` first")
    from rectok.checks.drift import NAMES, summary

    judged = artifacts.read_report(report)
    if judged.judged != hashes_of(artifacts.outputs(artefact)):
        raise UserError(
            f"{report} is about another index than the one in data/index; run `dvc repro gate-{artefact}` first"
        )
    # The new baseline ends the drift. What fails for any other reason is of no use to measure later ones by.
    failed = [check.name for check in judged.errors if check.name not in NAMES]
    if failed:
        raise UserError(
            f"gate {artefact} failed for more than drift: {', '.join(failed)} (see {report}); fix what it found or change "
            f"its thresholds, and run `dvc repro gate-{artefact}`"
        )
    accepted, _ = summary(params)
    artifacts.write_json(artifacts.baseline_file(), accepted.model_dump())
    typer.echo(
        f"accepted {accepted.images} images of {len(accepted.classes)} classes: {artifacts.baseline_file()}; "
        f"commit it to git, so that who accepted it and why is kept"
    )
