"""`rectok doctor`: what to fix before a run."""

import contextlib
import gc
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines")] = False) -> None:
    """Check networks, disk, links, devices, DeepSpeed, credentials, weights and versions. Exit 1 if a run would fail."""
    from rich.console import Console

    from rectok.doctor.examine import examine

    diagnoses, out = [], sys.stdout
    gc.disable()  # it spends a second on looking through what torch creates
    # A terminal shows which check runs now; libraries may print, which must not mix with the results.
    with Console(stderr=True).status("versions") as progress, contextlib.redirect_stdout(sys.stderr):
        for diagnosis in examine(progress.update):
            diagnoses.append(diagnosis)
            if not as_json:
                remedy = f"; {diagnosis.remedy}" if diagnosis.remedy else ""
                progress.stop()
                print(f"{diagnosis.status:4}  {diagnosis.name}: {diagnosis.detail}{remedy}", file=out, flush=True)
                progress.start()
    gc.enable()
    if as_json:
        typer.echo(json.dumps([asdict(diagnosis) for diagnosis in diagnoses], indent=1, ensure_ascii=False))
    if any(diagnosis.status == "FAIL" for diagnosis in diagnoses):
        raise typer.Exit(1)
