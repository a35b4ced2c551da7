"""Commands that people type: init, doctor, repro, status, sample, export, nightly, promote, ablate, bench, plan and others."""

import typer

from rectok.cli.ablate import ablate
from rectok.cli.baseline import baseline
from rectok.cli.doctor import doctor
from rectok.cli.evaluate import nightly, summary
from rectok.cli.exchange import export, import_checkpoint
from rectok.cli.images import reconstruct, sample
from rectok.cli.measure import bench, plan
from rectok.cli.parameters import init, migrate_params, shards_count
from rectok.cli.promote import alert, promote
from rectok.cli.repro import repro
from rectok.cli.status import status

PANEL = "User commands"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (
        init, shards_count, migrate_params, doctor, repro, status, baseline, sample, reconstruct, export, summary, nightly,
        promote, alert, ablate, bench, plan,
    ):  # fmt: skip
        app.command(rich_help_panel=PANEL)(command)
    app.command("import", rich_help_panel=PANEL)(import_checkpoint)  # a keyword is no function's name
