"""`rectok doctor`: what to fix before a run."""

import contextlib
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="JSON in place of lines")] = False) -> None:
    """Look at disk, links, devices, DeepSpeed, credentials, weights and versions; exit 1 when a run would fail."""
    from rectok.doctor.examine import examine

    findings, out = [], sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries may print; stdout is for findings
        for finding in examine():
            findings.append(finding)
            if not as_json:
                remedy = f"; {finding.remedy}" if finding.remedy else ""
                print(f"{finding.status:4}  {finding.name}: {finding.detail}{remedy}", file=out, flush=True)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
    if any(finding.status == "FAIL" for finding in findings):
        raise typer.Exit(1)
