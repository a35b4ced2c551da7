"""`rectok promote` accepts a generator. `rectok alert` sends a trial alert."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from rectok.cli.stage_run import exclusive, within_memory
from rectok.errors import UserError
from rectok.evaluation.metrics import METRICS, NONE, PRINCIPAL
from rectok.nightly.promotion import Promotion, accept, accept_again, promotions, prune
from rectok.params import load


def promote(
    why: Annotated[str, typer.Option(help="Why it is accepted, for those who read the record later")] = "",
    who: Annotated[str, typer.Option(help="Who accepts it; git's user if empty")] = "",
    again: Annotated[
        int, typer.Option(min=0, help="Number of an earlier promotion, whose generator becomes the active one again")
    ] = 0,
    measure: Annotated[
        bool, typer.Option(help="Evaluate it as in a nightly run, so that the first one has a baseline")
    ] = True,
    show: Annotated[bool, typer.Option("--list", help="Only show what was accepted so far")] = False,
    pruned: Annotated[
        bool, typer.Option("--prune", help="Only remove the copies of generators that are not active; records stay")
    ] = False,
) -> None:
    """Accept the current generator. Nightly runs evaluate it from now on, and its metrics are their baseline."""
    if show:
        _show(promotions())
        return
    if pruned:
        with exclusive("promote"):
            removed = prune()
        typer.echo(f"removed {', '.join(removed)}" if removed else "there is no copy but the active one")
        return
    if not why.strip():
        raise UserError('say why it is accepted, e.g. rectok promote --why "gFID 1.8, 0.4 better than before"')
    params = load()
    with exclusive("promote"), within_memory("promote", params):
        new = accept_again(again, who, why) if again else accept(params, who, why, measure)
    typer.echo(f"promotion {new.number}: generator {new.generator} is active, copied to {new.folder}")


def alert() -> None:
    """Send a trial alert over every channel of nightly.alert, and say which channels delivered it."""
    params = load()
    from rectok.alerts.sending import Alert, send

    if params.nightly.alert.silent:
        raise UserError("nightly.alert.webhook and nightly.alert.mail.host are empty, so alerts go nowhere")
    today = datetime.now(ZoneInfo(params.nightly.timezone)).date().isoformat()
    trial = Alert("trial", today, "rectok: a trial alert", "Alerts of the nightly evaluation arrive here.")
    typer.echo(f"sent by {' and '.join(send(params.nightly.alert, trial))}")


def _show(accepted: list[Promotion]) -> None:
    if not accepted:
        typer.echo("nothing was accepted yet; rectok promote --why … accepts the current generator")
        return
    metric = METRICS[PRINCIPAL]
    table = Table("", "generator", "when", "who", "why", "commit", metric.title, f"measured {metric.title}")
    for each in accepted:
        mark = f"{each.number}{' (active)' if each is accepted[-1] else ''}"
        measured = metric.text(each.measured.metrics[PRINCIPAL]) if each.measured else NONE
        values = (metric.text(each.metrics.get(PRINCIPAL)), measured)
        table.add_row(mark, each.generator, each.time, each.who, each.why, each.commit[:10], *values)
    Console().print(table)
