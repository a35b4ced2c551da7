"""The command line: one command per stage, and user commands such as init, doctor and sample."""

import atexit
import gc
import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rectok import artifacts
from rectok.cli.ablate import ablate
from rectok.cli.baseline import baseline
from rectok.cli.bench import bench
from rectok.cli.doctor import doctor
from rectok.cli.ema import ema
from rectok.cli.evaluate import evaluate, nightly, summary
from rectok.cli.exchange import export, import_checkpoint
from rectok.cli.images import reconstruct, sample
from rectok.cli.parameters import init, migrate_params, shards_count
from rectok.cli.plan import plan
from rectok.cli.promote import alert, promote
from rectok.cli.publish import push
from rectok.cli.repair import repair
from rectok.cli.repro import repro
from rectok.cli.serve import serve
from rectok.cli.stage_command import StageCommand
from rectok.cli.stage_run import for_each_shard, report_made, stage_run
from rectok.cli.status import status
from rectok.cli.verify import verify
from rectok.errors import UserError
from rectok.files import refusal
from rectok.imports import importing
from rectok.params import load
from rectok.params.renamed import renamed_command

STAGE_COMMANDS, USER_COMMANDS = "Stages", "User commands"
WIDTH = 120
"""Columns of the help, at most."""
ON_GPUS = ("features", "latents")
"""Stages of which every GPU makes other shards."""
Shards = Annotated[list[str], typer.Argument(metavar="SHARD...", help="Shard names, as in index.shards, e.g. 00000")]


class Commands(TyperGroup):
    """All commands by panel, as plain text: the help that typer draws with rich takes twice as long."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each panel with the first line of each command's help."""
        for panel in (USER_COMMANDS, STAGE_COMMANDS):
            commands = {name: each for name, each in self.commands.items() if each.rich_help_panel == panel}  # type: ignore[attr-defined]
            with formatter.section(panel):
                lines = [
                    (name, (each.short_help or each.help or "").partition("\n\n")[0]) for name, each in commands.items()
                ]
                formatter.write_dl([(name, line.replace("\n", " ")) for name, line in lines])


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": WIDTH},
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"rectok {version('rectok')}")
        raise typer.Exit


@app.callback(help=__doc__)
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """Options of the whole command line."""


def _add_stage(stage: str) -> None:
    def run(shard: str | None = None) -> None:
        with stage_run(stage, shard) as params:
            with importing():
                module = importlib.import_module(f"rectok.stages.{stage}")
            module.run(params, *([shard] if shard else []))

    def sharded(shards: Shards) -> None:
        if stage in ON_GPUS and len(shards) > 1:
            from rectok.train.launch import own_shards

            shards = own_shards(load().machine, stage, shards)
        for_each_shard(stage, shards, run)

    def whole() -> None:
        run()
        report_made(stage)

    command = sharded if stage in artifacts.SHARDED else whole
    app.command(stage, cls=StageCommand, rich_help_panel=STAGE_COMMANDS)(command)


for _stage in artifacts.STAGES:
    _add_stage(_stage)


@app.command(rich_help_panel=STAGE_COMMANDS)
def gate(
    name: Annotated[
        str, typer.Argument(help="The stage whose output is checked", autocompletion=lambda: [*artifacts.STAGES])
    ] = "",
    shards: Annotated[list[str] | None, typer.Argument(help="Shard names, for stages that run per shard")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Run nothing; list every check of every gate with its margin")
    ] = False,
) -> None:
    """Check what a stage made; exit 1 when a check of severity ERROR fails."""
    if everything:
        from rectok.cli.gates import show_all

        show_all()
        return
    if name not in artifacts.STAGES:
        raise UserError(f"there is no gate {name!r}; choose one of {', '.join(artifacts.STAGES)}")
    if (name in artifacts.SHARDED) != bool(shards):
        raise UserError(f"gate {name} {'takes no shard name' if shards else 'needs a shard name'}")
    from rectok.checks.run import run

    def judge(shard: str | None = None) -> None:
        with stage_run(f"gate-{name}", shard) as params:
            run(name, params, shard)

    if shards:
        for_each_shard(f"gate-{name}", shards, judge)
    else:
        judge()


for _command in (
    init, shards_count, migrate_params, doctor, repro, status, verify, repair, baseline, sample, reconstruct, serve, export,
    push, summary, evaluate, ema, nightly, promote, alert, ablate, bench, plan,
):  # fmt: skip
    app.command(rich_help_panel=USER_COMMANDS)(_command)
app.command("import", rich_help_panel=USER_COMMANDS)(import_checkpoint)  # a keyword is no function's name


def main() -> None:
    """Run the command line; a user's mistake becomes one sentence on standard error and exit code 1."""
    atexit.register(_end_soon)
    try:
        if instead := renamed_command(sys.argv[1:]):
            raise UserError(f"this command is `{instead}` now")
        app()
    except UserError as error:
        _fail(str(error))
    except FileNotFoundError as error:
        if error.filename is None or not Path(error.filename).is_relative_to(artifacts.DATA):
            raise
        _fail(artifacts.missing(error.filename))
    except (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        _fail(f"{error.filename} cannot be used: {str(error.strerror).lower()}")
    except OSError as error:
        if (reason := refusal(error)) is None:
            raise
        place = f" while writing {error.filename}" if error.filename else ""
        _fail(f"{reason[0]}{place}; {reason[1]} and run the command again")


def _end_soon() -> None:
    """Spare the look for garbage while modules end, half a second after torch. Triton lists what is left of it as leaked."""
    if "triton" in sys.modules:
        gc.disable()
    else:
        gc.freeze()


def _fail(sentence: str) -> None:
    print(f"rectok: {sentence}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
