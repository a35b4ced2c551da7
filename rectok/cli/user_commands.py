"""Commands that people type: init, doctor, repro, sample, import, export, nightly, promote, ablate, bench, plan and others."""

from pathlib import Path
from typing import Annotated

import typer

from rectok.cli.ablate import ablate
from rectok.cli.baseline import accept
from rectok.cli.doctor import doctor
from rectok.cli.evaluate import nightly, summary
from rectok.cli.exchange import export, import_checkpoint
from rectok.cli.images import reconstruct, sample
from rectok.cli.measure import bench, plan
from rectok.cli.promote import alert, promote
from rectok.cli.repro import repro
from rectok.errors import UserError
from rectok.files import write_text
from rectok.params import parse, preset_names, preset_text
from rectok.params.loading import PARAMS_FILE


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (
        init, doctor, repro, accept, sample, reconstruct, export, summary, nightly, promote, alert, ablate, bench, plan,
    ):  # fmt: skip
        app.command(rich_help_panel="For people")(command)
    app.command("import", rich_help_panel="For people")(import_checkpoint)  # a keyword is no function's name


def init(
    preset: Annotated[str, typer.Argument(help="One of the presets, e.g. digits")],
    force: Annotated[bool, typer.Option(help="Replace an existing params.yaml")] = False,
) -> None:
    """Write params.yaml from a preset."""
    text = preset_text(preset)
    parse(text, f"preset {preset}")
    if PARAMS_FILE.exists() and PARAMS_FILE.read_text(encoding="utf-8") != text and not force:
        raise UserError(f"{Path(PARAMS_FILE)} exists and differs from preset {preset}; add --force to replace it")
    write_text(PARAMS_FILE, text)
    typer.echo(f"wrote {PARAMS_FILE} from preset {preset} (presets: {', '.join(preset_names())}); next: dvc repro")
