"""`rectok promote`: which generator is the accepted one. `rectok alert`: whether alerts arrive."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from rectok.cli.stage_run import exclusive, within_memory
from rectok.errors import UserError
from rectok.nightly.promotion import Promotion, promotions, prune
from rectok.params import load
from rectok.reporting.display import written


def promote(
    why: Annotated[str, typer.Option(help="Why it is accepted, for those who read the record later")] = "",
    who: Annotated[str, typer.Option(help="Who accepts it; git's user if empty")] = "",
    again: Annotated[
        int, typer.Option(min=0, help="Number of an earlier promotion, whose generator is put in force again")
    ] = 0,
    measure: Annotated[
        bool, typer.Option(help="Evaluate it as on a night, so that the first night has something to compare with")
    ] = True,
    show: Annotated[bool, typer.Option("--list", help="Only show what was accepted so far")] = False,
    pruned: Annotated[
        bool, typer.Option("--prune", help="Only remove the copies of generators that are not in force; records stay")
    ] = False,
) -> None:
    """Accept the current generator: it is evaluated every night from now on, and its figures are the baseline."""
    if show:
        _show(promotions())
        return
    if pruned:
        with exclusive("promote"):
            removed = prune()
        typer.echo(f"removed {', '.join(removed)}" if removed else "there is no copy but that in force")
        return
    if not why.strip():
        raise UserError('say why it is accepted, e.g. rectok promote --why "gFID 1.8, 0.4 better than before"')
    params = load()
    with exclusive("promote"), within_memory("promote", params):
        from rectok.nightly.accept import accept, accept_again

        made = accept_again(again, who, why) if again else accept(params, who, why, measure)
    typer.echo(f"promotion {made.number}: generator {made.generator} is in force, copied to {made.folder}")


def alert() -> None:
    """Send a trial alert every way that nightly.alert asks for, and say which ways it took."""
    params = load()
    from rectok.alerts.sending import Alert, send

    if params.nightly.alert.silent:
        raise UserError("nightly.alert.webhook and nightly.alert.mail.host are empty, so alerts go nowhere")
    today = datetime.now(ZoneInfo(params.nightly.timezone)).date().isoformat()
    trial = Alert("trial", today, "rectok: a trial alert", "Alerts of the nightly evaluation arrive here.")
    typer.echo(f"sent by {' and '.join(send(params.nightly.alert, trial))}")


def _show(found: list[Promotion]) -> None:
    if not found:
        typer.echo("nothing was accepted yet; rectok promote --why … accepts the current generator")
        return
    table = Table("", "generator", "when", "who", "why", "commit", "gFID", "measured gFID")
    for each in found:
        mark = f"{each.number}{' (in force)' if each is found[-1] else ''}"
        measured = written("gfid", each.measured.gfid) if each.measured else "—"
        figures = (written("gfid", each.figures.get("gfid")), measured)
        table.add_row(mark, each.generator, each.time, each.who, each.why, each.commit[:10], *figures)
    Console().print(table)
