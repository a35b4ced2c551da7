"""Commands that tell people and schedulers how good the models are: summary, nightly."""

import json
import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from rectok.artifacts import stage_dir
from rectok.cli.stage_run import stage_run
from rectok.errors import UserError
from rectok.nightly.history import REGRESSED, REGRESSION
from rectok.params import load
from rectok.reporting.summary import EVALUATIONS, Summary, duration, made, metric_rows, read_summary

if TYPE_CHECKING:
    from rectok.alerts.alert_config import AlertConfig


def summary(
    text: Annotated[bool, typer.Option("--text", help="A table for people in place of JSON")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out evaluations that were not made")] = False,
) -> None:
    """Print the metrics, each with the network that computed it, as one JSON object."""
    gathered = read_summary(made() if partial else EVALUATIONS)
    if text:
        _show(gathered)
    else:
        typer.echo(json.dumps(gathered.as_json(), indent=1, ensure_ascii=False))


def evaluate(
    samples: Annotated[Path, typer.Option(help="A folder of images, or an npz file with arr_0, uint8 [N, H, W, 3]")],
    reference: Annotated[Path, typer.Option(help="What to compare with: the same, or an npz file with mu and sigma")],
    network: Annotated[
        str,
        typer.Option(
            help="torch-fidelity (it downloads its Inception) or the file that it downloads; by default data/metric_network"
        ),
    ] = "",
    neighbours: Annotated[int, typer.Option(min=1, help="Nearest neighbours of precision and recall")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Images at once")] = 64,
    spaces: Annotated[bool, typer.Option(help="Also in the feature spaces generation.spaces of params.yaml")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
) -> None:
    """Judge images that another program made, by the code that judges the pipeline's own."""
    from rich.console import Console
    from rich.table import Table

    from rectok.evaluation.feature_spaces import load_spaces
    from rectok.evaluation.metrics import column_metric, points
    from rectok.evaluation.other_images import fingerprint_of, judge, metric_network_at, read_reference, read_samples
    from rectok.train.world import device_named

    images, compared, device = read_samples(samples), read_reference(reference), device_named("auto")
    configs = load().generation.spaces if spaces else ()
    if spaces and not configs:
        raise UserError("--spaces needs generation.spaces in params.yaml, which names no network")
    judged_by = metric_network_at(network, device, batch, load_spaces(configs, device) if configs else None)
    metrics = judge(images, compared, judged_by, neighbours)
    protocol = fingerprint_of(len(images), reference, network, neighbours, configs)
    if as_json:
        record = {"metrics": metrics, "network": judged_by.described, "fingerprint": protocol}
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    table = Table("metric", "value", "better", title=f"{samples} beside {reference}, by {judged_by.title}")
    for name, value in points(metrics).items():
        if (metric := column_metric(name)) and metric.shown:
            table.add_row(metric.title, metric.text(value), metric.better)
    Console().print(table)
    Console().print(f"Protocol: {protocol}")


def nightly(
    on: Annotated[str, typer.Option("--date", help="Date whose seeds to use, YYYY-MM-DD; today if empty")] = "",
    alert: Annotated[
        bool, typer.Option("--alert", help="Tell by nightly.alert when it fails or something got worse")
    ] = False,
) -> None:
    """Evaluate the promoted generator with fresh seeds; write data/nightly; exit 2 when something got worse."""
    settings = load().nightly
    if alert and settings.alert.silent:
        raise UserError("--alert has no way to take: set nightly.alert.webhook or nightly.alert.mail.host")
    day = (_day(on) if on else datetime.now(ZoneInfo(settings.timezone)).date()).isoformat()
    try:
        with stage_run("nightly") as params:
            from rectok.nightly.run import run

            regressions = run(params, day)
    except Exception as error:
        if alert:
            _tell(settings.alert, day, error)
        raise
    if "RANK" in os.environ:  # the command that launched this process says what got worse
        return
    for sentence in regressions:
        typer.echo(f"{REGRESSION}{sentence}", err=True)
    if regressions:
        if alert:
            _tell(settings.alert, day, regressions)
        raise typer.Exit(REGRESSED)


def _tell(config: "AlertConfig", day: str, what: Exception | list[str]) -> None:
    """Of a failure, or of sentences that say what got worse. What cannot be delivered is said, and hides neither."""
    from rectok.alerts.channels import Alert, send

    if isinstance(what, Exception):
        text = str(what) if isinstance(what, UserError) else f"{type(what).__name__}: {what}"
        alert = Alert("failed", day, f"rectok: the nightly run of {day} failed", text)
    else:
        alert = Alert("regression", day, f"rectok: the nightly run of {day} found a regression", "\n".join(what))
    try:
        send(config, alert)
    except UserError as error:
        typer.echo(f"rectok: {error}", err=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--date is {text!r}, but must be a date such as 2026-01-31") from None


def _show(gathered: Summary) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("metric", "value", "better", "computed by", title="Metrics", title_justify="left")
    table.columns[1].justify = "right"
    for metric in metric_rows(gathered.metrics, gathered.networks):
        table.add_row(metric.title, metric.value, metric.better, metric.network)
    console.print(table)
    for stage, fingerprint in gathered.fingerprints.items():
        console.print(f"Protocol of the {stage}: {fingerprint}")
    console.print(f"All stages and gates together: {duration(sum(gathered.seconds.values()))}")
    report = stage_dir("report") / "index.html"
    place = report.resolve() if report.exists() else "not there yet; `dvc repro` makes it"
    console.print(f"Report: {place}", soft_wrap=True)
