"""Commands that tell people and schedulers how good the models are: summary, nightly."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from rectok.artifacts import stage_dir
from rectok.cli.running import stage_run
from rectok.errors import UserError
from rectok.evaluation.display import duration, for_people, probe_for_people
from rectok.evaluation.summary import EVALUATIONS, Summary, made, read_summary


def summary(
    text: Annotated[bool, typer.Option("--text", help="A table for people in place of JSON")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out evaluations that were not made")] = False,
) -> None:
    """Print the headline figures, each with the network that computed it, as one JSON object."""
    found = read_summary(made() if partial else EVALUATIONS)
    if text:
        _show(found)
    else:
        typer.echo(json.dumps(found.as_json(), indent=1, ensure_ascii=False))


def nightly(
    on: Annotated[str, typer.Option("--date", help="Date whose seeds to use, YYYY-MM-DD; today if empty")] = "",
) -> None:
    """Evaluate the accepted generator with fresh seeds; write data/nightly: history, trend and page."""
    given = _day(on) if on else None
    with stage_run("nightly") as params:
        day = given or datetime.now(ZoneInfo(params.nightly.timezone)).date()
        from rectok.stages.nightly import run

        for sentence in run(params, day.isoformat()):
            typer.echo(f"regression: {sentence}", err=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--date is {text!r}, but must be a date such as 2026-01-31") from None


def _show(found: Summary) -> None:
    console = Console()
    table = Table("figure", "value", "better", "computed by", title="Headline figures", title_justify="left")
    table.columns[1].justify = "right"
    for figure in [*for_people(found.figures, found.networks), *probe_for_people(found.figures, found.networks)]:
        table.add_row(figure.title, figure.value, figure.better, figure.network)
    console.print(table)
    console.print(f"All stages and gates together: {duration(sum(found.seconds.values()))}")
    report = Path(stage_dir("report") / "index.html")
    console.print(
        f"Report: {report.resolve() if report.exists() else 'not there yet; `dvc repro` makes it'}", soft_wrap=True
    )
