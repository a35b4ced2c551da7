"""`rectok promote` promotes a generator. `rectok alert` sends a trial alert."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from rectok.cli.stage_run import exclusive, within_memory
from rectok.errors import UserError
from rectok.evaluation.metrics import METRICS, NONE, PRINCIPAL
from rectok.params import load

if TYPE_CHECKING:
    from rectok.nightly.promotion import Promotion


def promote(
    why: Annotated[str, typer.Option(help="Why it is promoted, for those who read the record later")] = "",
    who: Annotated[str, typer.Option(help="Who promotes it; git's user if empty")] = "",
    again: Annotated[
        int, typer.Option(min=0, help="Number of an earlier promotion, whose generator is promoted again")
    ] = 0,
    measure: Annotated[
        bool, typer.Option(help="Evaluate it as in a nightly run, so that the first one has a baseline")
    ] = True,
    show: Annotated[bool, typer.Option("--list", help="Only show what was promoted so far")] = False,
    pruned: Annotated[
        bool, typer.Option("--prune", help="Only remove the copies of all but the promoted generator; records stay")
    ] = False,
) -> None:
    """Promote the current generator. Nightly runs evaluate it from now on, and its metrics are their baseline."""
    from rectok.nightly.promotion import promote_again, promote_current, promotions, prune

    if show:
        _show(promotions())
        return
    if pruned:
        with exclusive("promote"):
            removed = prune()
        typer.echo(f"removed {', '.join(removed)}" if removed else "there is no copy but the promoted one")
        return
    if not why.strip():
        raise UserError('say why it is promoted, e.g. rectok promote --why "gFID 1.8, 0.4 better than before"')
    params = load()
    with exclusive("promote"), within_memory("promote", params):
        new = promote_again(again, who, why) if again else promote_current(params, who, why, measure)
    typer.echo(f"promotion {new.number}: generator {new.generator} is promoted, copied to {new.folder}")


def alert() -> None:
    """Send a trial alert over every channel of nightly.alert, and say which channels delivered it."""
    params = load()
    from rectok.alerts.channels import Alert, send

    if params.nightly.alert.silent:
        raise UserError("nightly.alert.webhook and nightly.alert.mail.host are empty, so alerts go nowhere")
    today = datetime.now(ZoneInfo(params.nightly.timezone)).date().isoformat()
    trial = Alert("trial", today, "rectok: a trial alert", "Alerts of the nightly evaluation arrive here.")
    typer.echo(f"sent by {' and '.join(send(params.nightly.alert, trial))}")


def _show(records: "list[Promotion]") -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    if not records:
        typer.echo("nothing was promoted yet; rectok promote --why … promotes the current generator")
        return
    metric = METRICS[PRINCIPAL]
    names = ("number", "on", "generator", "commit", metric.title, f"measured {metric.title}")
    table = Table(
        *(Column(name, no_wrap=place < 4) for place, name in enumerate(names)), "who: why", box=None, pad_edge=False
    )
    for each in records:
        mark = f"{each.number}{'*' if each is records[-1] else ''}"
        measured = metric.text(each.measured.metrics[PRINCIPAL]) if each.measured else NONE
        values = (metric.text(each.metrics.get(PRINCIPAL)), measured)
        who = each.who.partition(" <")[0]
        table.add_row(mark, each.time[:10], each.generator, each.commit[:10], *values, Text(f"{who}: {each.why}"))
    Console().print(table, "* is promoted now.", highlight=False)
