"""Dagster's asset checks: one for each check of a gate, and one that says whether the gate itself ran."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg

from orchestration.assets.check_history import last_evaluation
from orchestration.assets.images import inline_images
from orchestration.assets.metadata import Metadata, page_links, table
from orchestration.graph.model import Artefact, Unit
from rectok.artifacts import Check, GateReport, docs_dir, read_report
from rectok.errors import UserError
from rectok.pipeline.judged import changed_report
from rectok.pipeline.lock import Record
from rectok.reporting.check_catalogue import CHECKS, CheckKind, kind_of
from rectok.reporting.check_text import counts_text, limit_text, margin_text, value_text, verdict_text

GATE_RAN = "gate_ran"
"""The check of the gate itself. It fails where a report is missing or not about these files, and for checks of no kind."""
FINGERPRINT = "fingerprint"
"""Metadata entry that identifies the results of a gate."""
MAX_IMAGES = 2
"""Images of the artefact that a check shows. The asset itself shows all."""
COLUMNS = {
    "check": "what is checked",
    "result": "pass, WARN or ERROR; an ERROR stops all later stages, a WARN stops nothing",
    "value": "what was measured",
    "limit": "what is required",
    "margin": "how far the value is on the right side of the limit",
    "message": "what is wrong, and what would be right",
}
NOT_MADE = "not made this time: there was nothing to check"
EFFECTS = {"ERROR": "a failure stops all later stages", "WARN": "a failure stops nothing"}


def check_specs(artefact: Artefact, partitions: dg.PartitionsDefinition[str] | None) -> list[dg.AssetCheckSpec]:
    """The checks of the artefact's asset, from the table of checks. Empty if it has no gate.

    Dagster lets a failure of severity WARN pass even where a check is blocking.
    """
    gate = artefact.units[0].gate
    if not gate:
        return []
    ran = CheckKind(
        GATE_RAN, f"The gate judged these files and found nothing beside the other checks (`dvc repro {gate}`)"
    )
    return [
        dg.AssetCheckSpec(
            kind.identifier,
            asset=artefact.name,
            blocking=kind.severity != "WARN",
            partitions_def=partitions,
            description=_description(artefact.name, kind),
        )
        for kind in (ran, *CHECKS.get(artefact.name, ()))
    ]


def _description(gate: str, kind: CheckKind) -> str:
    limit = f" Limit: `gates.{gate}.{kind.threshold}`." if kind.threshold else ""
    severity = (
        f"{kind.severity}: {EFFECTS[kind.severity]}" if kind.severity else f"as `gates.{gate}.drift.severity` says"
    )
    return f"{kind.what}.{limit} Severity {severity}."


def read_check_results(
    instance: dg.DagsterInstance, root: Path, unit: Unit, records: Mapping[str, Record]
) -> list[dg.AssetCheckResult]:
    """The gate's stored results, the one of `GATE_RAN` last; `records` are those of dvc.lock."""
    assert unit.gate and unit.report and unit.pass_marker
    fingerprint = _fingerprint(root, unit, records[unit.stage].data_version)
    if not (root / unit.report).exists():
        return [not_run(unit, f"{unit.gate} left no report in {unit.report}", fingerprint)]
    try:
        report = read_report(root / unit.report)
    except UserError as error:
        return [not_run(unit, str(error), fingerprint)]
    # DVC keeps no record of a gate that failed.
    passed = (root / unit.pass_marker).exists()
    if passed and (sentence := changed_report(Path(unit.report), records, root)):
        return [not_run(unit, sentence, fingerprint)]
    if not passed and not report.errors:
        return [not_run(unit, f"{unit.gate} left no pass marker in {unit.pass_marker}", fingerprint)]
    return [*_of_kinds(instance, report), _ran(root, unit, report, fingerprint)]


def not_run(unit: Unit, reason: str, fingerprint: str = "") -> dg.AssetCheckResult:
    """The result of a gate without a report about the current files."""
    metadata: Metadata = {"command": f"dvc repro {unit.gate}", FINGERPRINT: fingerprint}
    return dg.AssetCheckResult(check_name=GATE_RAN, passed=False, description=reason, metadata=metadata)


def _of_kinds(instance: dg.DagsterInstance, report: GateReport) -> Iterator[dg.AssetCheckResult]:
    """One result per kind. Of several checks of one kind, such as one per reason of a quarantine, the numbers add up.

    A check that failed before passes once its gate has no need to make it, such as that of an accuracy without labels: the
    failure is no longer true. Other checks that were not made have no result. A gate that failed may have ended before them.
    """
    for kind in CHECKS.get(report.gate, ()):
        checks = [check for check in report.checks if kind_of(report.gate, check.name) == kind]
        if checks:
            yield _result(kind.identifier, checks, _numbers(checks))
        elif report.passed and _failed_before(instance, report, kind):
            yield dg.AssetCheckResult(check_name=kind.identifier, passed=True, description=NOT_MADE)


def _failed_before(instance: dg.DagsterInstance, report: GateReport, kind: CheckKind) -> bool:
    last = last_evaluation(instance, report.gate, kind.identifier, report.shard)
    return last is not None and not last.passed


def _numbers(checks: Sequence[Check]) -> Metadata:
    """Value and limit as numbers, so that Dagster plots them over time, and what is required in words."""
    first = checks[0]
    values = [check.value for check in checks if isinstance(check.value, (int, float))]
    value = float(f"{sum(values):.6g}") if values else value_text(first.value)
    limits = {"limit": first.limit} if isinstance(first.limit, (int, float)) and values else {}
    words = {"required": limit_text(first), "margin": margin_text(first) if len(checks) == 1 else ""}
    return {"value": value, **limits, **{k: v for k, v in words.items() if v}, "severity": worst_severity(checks)}


def worst_severity(checks: Sequence[Check]) -> str:
    """ERROR if a failed check has that severity; without a failure, if any check has."""
    failed = [check.severity for check in checks if not check.passed] or [check.severity for check in checks]
    return "ERROR" if "ERROR" in failed else "WARN"


def _ran(root: Path, unit: Unit, report: GateReport, fingerprint: str) -> dg.AssetCheckResult:
    """The gate's own result with the table of all checks. Failed checks without a kind count here."""
    # Some values and limits are numbers and others are texts, so all are shown as texts.
    rows = [
        {"check": c.name, "result": verdict_text(c), "value": value_text(c.value), "limit": limit_text(c),
         "margin": margin_text(c), "message": c.message}
        for c in report.checks
    ]  # fmt: skip
    details: Metadata = {"results": counts_text(report.checks), "checks": table(COLUMNS, rows)}
    details |= {"command": f"dvc repro {unit.gate}", "report": dg.MetadataValue.path(str(unit.report))}
    page = root / docs_dir(report.gate) / "index.html"
    details |= page_links(root, [page] if page.exists() else [], [], fingerprint)
    details |= inline_images([path for out in unit.outs for path in (root / out).glob("*.png")], MAX_IMAGES)
    unkind = [check for check in report.checks if not check.passed and kind_of(report.gate, check.name) is None]
    result = _result(GATE_RAN, unkind, {**details, FINGERPRINT: fingerprint})
    return result if unkind else result._replace(description=counts_text(report.checks))


def _result(name: str, checks: Sequence[Check], metadata: Metadata) -> dg.AssetCheckResult:
    """The result of `checks` together: passed if all are, else with their messages and the worst severity among them."""
    failures = [check for check in checks if not check.passed]
    messages = "; ".join(f"{check.name}: {check.message}" for check in failures)
    first = checks[0] if checks else None
    met = f"{value_text(first.value)} ({limit_text(first)})" if first and metadata.get("margin") else "passed"
    return dg.AssetCheckResult(
        check_name=name,
        passed=not failures,
        severity=dg.AssetCheckSeverity(worst_severity(failures)) if failures else dg.AssetCheckSeverity.ERROR,
        description=messages or met,
        metadata=metadata,
    )


def evaluation(artefact: Artefact, unit: Unit, result: dg.AssetCheckResult, blocking: bool) -> dg.AssetCheckEvaluation:
    """A result as the event of one shard. A run of many shards cannot return one result per shard."""
    return dg.AssetCheckEvaluation(
        dg.AssetKey(artefact.name),
        str(result.check_name),
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        blocking=blocking,
        partition=unit.shard,
    )


def _fingerprint(root: Path, unit: Unit, data_version: str) -> str:
    assert unit.report and unit.pass_marker
    report, marker = root / unit.report, root / unit.pass_marker
    content = report.read_bytes() if report.exists() else b""
    parts = (data_version.encode(), content, bytes([marker.exists()]))
    return hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
