"""`rectok doctor`: what to fix before a run."""

import contextlib
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines")] = False) -> None:
    """Check disk, links, devices, DeepSpeed, credentials, weights and versions. Exit 1 if a run would fail."""
    from rectok.doctor.examine import examine

    diagnoses, out = [], sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries may print
        for diagnosis in examine():
            diagnoses.append(diagnosis)
            if not as_json:
                remedy = f"; {diagnosis.remedy}" if diagnosis.remedy else ""
                print(f"{diagnosis.status:4}  {diagnosis.name}: {diagnosis.detail}{remedy}", file=out, flush=True)
    if as_json:
        typer.echo(json.dumps([asdict(diagnosis) for diagnosis in diagnoses], indent=1, ensure_ascii=False))
    if any(diagnosis.status == "FAIL" for diagnosis in diagnoses):
        raise typer.Exit(1)
