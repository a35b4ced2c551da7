"""`rectok ema`: averages of other lengths from the snapshots of a training."""

from typing import Annotated

import typer

from rectok.params import load


def ema(
    sigma_rel: Annotated[
        list[float], typer.Option(help="Length of the average, a share of the training; once for each")
    ],
    measure: Annotated[bool, typer.Option(help="Measure the gFID of samples, as dit.evaluation says")] = True,
) -> None:
    """Make the generator with averages of other lengths (dit.posthoc_ema), in data/ema, and compare their gFID."""
    from rich.console import Console
    from rich.table import Table

    from rectok.trainers.ema_sweep import sweep

    table = Table("sigma_rel", "approximation error", "gFID", "folder", title="Averages of the generator's weights")
    for row in sweep(load(), sigma_rel, measure):
        table.add_row(f"{row.length:g}", f"{row.error:.1%}", "" if row.gfid is None else f"{row.gfid:.3f}", row.folder)
    Console().print(table)
