"""Runs one gate: keep its report, then say which checks failed."""

import importlib
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console

from rectok.artifacts import Check, GateReport, check_file, missing, outputs, passed_file, write_report
from rectok.checks.advice import advice
from rectok.checks.bounds import holds
from rectok.errors import UserError
from rectok.imports import importing
from rectok.params import Params
from rectok.pipeline.hashes import hashes_of
from rectok.pipeline.judged import not_as_made
from rectok.reporting.check_text import counts_text, limit_text, value_text, verdict_text, worst

UNREADABLE = ("as made", "readable")
"""Checks whose message says how the artefact comes back, so that no limit helps."""
STYLES = {"pass": "green", "WARN": "yellow", "ERROR": "bold red"}


def run(gate: str, params: Params, shard: str | None = None) -> GateReport:
    """Check one artefact and write its report. Raises UserError naming every ERROR check that failed."""
    passed_file(gate, shard).unlink(missing_ok=True)  # first, so that no error leaves the one of an earlier run
    with importing():
        module = importlib.import_module(f"rectok.gates.{gate}")
    judged = hashes_of(outputs(gate, shard))
    checks = _checks(gate, judged, module.check(params, *([shard] if shard else [])))
    report = GateReport(gate, shard, tuple(checks), judged)
    write_report(report)
    _show(report)
    if report.errors:
        messages = "; ".join(f"{c.name}: {c.message}" for c in report.errors)
        judgeable = all(check.name not in UNREADABLE for check in report.errors)
        hint = f"; {advice(gate, shard, report.errors, params)}" if judgeable else ""
        raise UserError(f"gate {gate} failed ({check_file(gate, shard)}): {messages}{hint}")
    return report


def _show(report: GateReport) -> None:
    """A line for each check and one that counts them; in colour where a terminal shows colours (NO_COLOR turns them off)."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for check in report.checks:
        limit = "" if check.limit in (None, "yes") else f" ({limit_text(check)})"
        why = f": {check.message}" if not check.passed and check.severity == "WARN" else ""
        result = verdict_text(check)
        console.print(f"{result:5}", style=STYLES[result], end=" ")
        console.print(f"{check.name}: {value_text(check.value)}{limit}{why}")
    console.print(f"gate {report.gate}: {counts_text(report.checks)}", style=STYLES[worst(report.checks)])


def _checks(gate: str, judged: Mapping[str, str], checks: Iterable[Check]) -> Iterator[Check]:
    """The checks, and a failed one where an artefact cannot even be read, so that the report is kept all the same.

    Files other than the stage wrote need no further check.
    """
    try:
        if sentence := not_as_made(gate, judged):
            yield holds("as made", False, sentence)
            return
        yield from checks
    except UserError as error:
        yield holds("readable", False, str(error))
    except FileNotFoundError as error:
        yield holds("readable", False, missing(error.filename))
    except (KeyError, ValueError) as error:
        message = f"a record of the stage is not as it was written ({error!r}); run the stage again"
        yield holds("readable", False, message)
