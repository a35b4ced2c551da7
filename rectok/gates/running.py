"""Runs one gate: keep its report, then say which checks failed."""

import importlib

from rectok.artifacts import GateReport, check_file, write_report
from rectok.errors import UserError
from rectok.params import Params


def run(gate: str, params: Params, shard: str | None = None) -> GateReport:
    """Check one artefact and write its report. Raises UserError naming every ERROR check that failed."""
    module = importlib.import_module(f"rectok.gates.{gate}")
    report = GateReport(gate, shard, tuple(module.check(params, *([shard] if shard else []))))
    write_report(report)
    for check in report.checks:
        print(f"{'pass' if check.passed else check.severity:5} {check.name}: {check.value} (limit {check.limit})")
    if report.errors:
        found = "; ".join(f"{c.name}: {c.message}" for c in report.errors)
        raise UserError(f"gate {gate} failed ({check_file(gate, shard)}): {found}")
    return report
