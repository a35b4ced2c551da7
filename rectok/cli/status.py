"""`rectok status`: why stages would run again, in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rectok.pipeline.reasons import Reason


def status(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages, with all that they need; none: all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when a stage would run again")] = False,
) -> None:
    """Say why stages would run again: a parameter, data, code, or a stage before them."""
    from rich.console import Console

    from rectok.pipeline.status import status as read_status

    with Console(stderr=True).status("") as shown:
        report = read_status(Path(), targets or (), shown.update)
    warnings = list(report.warnings())
    if as_json:
        stages = {name: [asdict(reason) for reason in reasons] for name, reasons in report.stages.items()}
        typer.echo(json.dumps({"stages": stages, "warnings": warnings}, indent=1, ensure_ascii=False, default=str))
    else:
        for line in [*_lines(report.stages), *(f"warning: {sentence}" for sentence in warnings)]:
            typer.echo(line)
        if not report.stages:
            typer.echo("all stages are up to date")
    if check and report.stages:
        raise typer.Exit(1)


def _lines(stages: "Mapping[str, Sequence[Reason]]") -> list[str]:
    """A line for every reason; shards that run again for the same reasons share theirs."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, reasons in stages.items():
        noun, _, item = name.partition("@")
        shared = tuple(reason.sentence.replace(item, "…") if item else reason.sentence for reason in reasons)
        groups.setdefault((noun, shared), []).append(name)
    lines = []
    for (noun, shared), names in groups.items():
        single = len(names) == 1
        sentences = [reason.sentence for reason in stages[names[0]]] if single else shared
        lines.append(names[0] if single else f"{noun} ({len(names)} of them)")
        lines += [f"  {sentence}" for sentence in sentences]
    return lines
