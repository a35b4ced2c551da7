"""`rectok gate --all`: every check of every gate that has run, with its margin."""

from collections.abc import Iterator
from math import inf

import typer
from rich.console import Console
from rich.table import Table

from rectok.artifacts import Check, GateReport, check_file, read_report
from rectok.errors import UserError
from rectok.reporting.check_text import counts_text, limit_text, margin, margin_text, value_text, verdict_text
from rectok.reporting.provenance import gate_reports

STYLES = {"pass": "green", "WARN": "yellow", "ERROR": "bold red"}


def show_all() -> None:
    """Print the stored reports; of the shards of a stage, the worst one of each check. Exit 1 where an ERROR stands."""
    reports = gate_reports()
    if check_file("report").exists():  # which the report itself cannot show
        reports.append(read_report(check_file("report")))
    if not reports:
        raise UserError("no gate has run yet; `dvc repro` runs stages and gates")
    table = Table("gate", "check", "value", "limit", "margin", "result", box=None, pad_edge=False)
    for name, check in _rows(reports):
        result = verdict_text(check)
        cells = (name, check.name, value_text(check.value), limit_text(check), margin_text(check))
        table.add_row(*cells, f"[{STYLES[result]}]{result}")
    console = Console()
    console.print(table)
    checks = [check for report in reports for check in report.checks]
    console.print(f"{len(checks)} checks at {len(reports)} gates: {counts_text(checks)}", highlight=False)
    if any(report.errors for report in reports):
        raise typer.Exit(1)


def _rows(reports: list[GateReport]) -> Iterator[tuple[str, Check]]:
    groups: dict[tuple[str, str], list[tuple[str | None, Check]]] = {}
    for report in reports:
        for check in report.checks:
            groups.setdefault((report.gate, check.name), []).append((report.shard, check))
    for (gate, _), group in groups.items():
        shard, check = min(group, key=lambda each: _rank(each[1]))
        yield f"{gate} {shard}" if shard else gate, check


def _rank(check: Check) -> tuple[int, float]:
    """Failed errors first, then warnings, then the smallest margin."""
    size = margin(check)
    return ("ERROR", "WARN", "pass").index(verdict_text(check)), inf if size is None else size
