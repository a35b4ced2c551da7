"""Runs one gate: keep its report, then say which checks failed."""

import importlib
from collections.abc import Iterable, Iterator, Mapping

from rectok.artifacts import Check, GateReport, check_file, missing, outputs, passed_file, write_report
from rectok.checks.bounds import holds
from rectok.errors import UserError
from rectok.params import Params
from rectok.pipeline.hashes import hashes_of
from rectok.pipeline.judged import not_as_made


def run(gate: str, params: Params, shard: str | None = None) -> GateReport:
    """Check one artefact and write its report. Raises UserError naming every ERROR check that failed."""
    passed_file(gate, shard).unlink(missing_ok=True)  # first, so that no error leaves the one of an earlier run
    module = importlib.import_module(f"rectok.gates.{gate}")
    judged = hashes_of(outputs(gate, shard))
    checks = _checks(gate, judged, module.check(params, *([shard] if shard else [])))
    report = GateReport(gate, shard, tuple(checks), judged)
    write_report(report)
    for check in report.checks:
        print(f"{'pass' if check.passed else check.severity:5} {check.name}: {check.value} (limit {check.limit})")
    if report.errors:
        messages = "; ".join(f"{c.name}: {c.message}" for c in report.errors)
        bounds = any(isinstance(check.limit, (int, float)) for check in report.errors)
        hint = f"; the limits are in gates.{gate} of params.yaml" if bounds else ""
        raise UserError(f"gate {gate} failed ({check_file(gate, shard)}): {messages}{hint}")
    return report


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
