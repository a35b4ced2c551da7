"""The result of a gate as the result of Dagster's asset check."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import dagster as dg

from orchestration.assets.images import inline_images
from orchestration.assets.metadata import Metadata, table
from orchestration.graph.model import Unit
from rectok.artifacts import docs_dir, read_report
from rectok.errors import UserError
from rectok.pipeline.judged import changed_report
from rectok.pipeline.lock import Record
from rectok.reporting.check_text import counts_text

CHECK = "gate"
FINGERPRINT = "fingerprint"
"""Metadata entry that identifies a result."""
MAX_IMAGES = 2
"""Images of the artefact that a check shows. The asset itself shows all."""
COLUMNS = {
    "check": "what is checked",
    "passed": "whether it holds",
    "severity": "ERROR stops all later stages, WARN stops nothing",
    "value": "what was measured",
    "limit": "what is required",
    "message": "what is wrong, and what would be right",
}


def read_check_result(root: Path, unit: Unit, records: Mapping[str, Record]) -> dg.AssetCheckResult:
    """The gate's stored result, passed only with its pass marker; `records` are those of dvc.lock.

    The fingerprint depends on report and data version.
    """
    assert unit.gate and unit.report and unit.pass_marker
    details: Metadata = {"command": f"dvc repro {unit.gate}"}
    fingerprint = {FINGERPRINT: _fingerprint(root, unit, records[unit.stage].data_version)}
    if not (root / unit.report).exists():
        return _result(f"{unit.gate} left no report in {unit.report}", {**details, **fingerprint})
    try:
        report = read_report(root / unit.report)
    except UserError as error:
        return _result(str(error), {**details, **fingerprint})
    # DVC keeps no record of a gate that failed.
    passed = (root / unit.pass_marker).exists()
    if passed and (sentence := changed_report(Path(unit.report), records, root)):
        return _result(sentence, {**details, **fingerprint})
    # Some values and limits are numbers and others are texts, so all are shown as texts.
    texts = [{**asdict(c), "check": c.name, "value": str(c.value), "limit": str(c.limit)} for c in report.checks]
    rows = [{name: row[name] for name in COLUMNS} for row in texts]
    numbers = {check.name: check.value for check in report.checks if check.value is not None}
    details = {**numbers, **details, "report": dg.MetadataValue.path(unit.report), "checks": table(COLUMNS, rows)}
    details["results"] = counts_text(report.checks)
    pages = docs_dir(report.gate) / "index.html"
    if (root / pages).exists():
        details["pages"] = dg.MetadataValue.path(str(root / pages))
    details |= inline_images([path for out in unit.outs for path in (root / out).glob("*.png")], MAX_IMAGES)
    details |= fingerprint
    failures = "; ".join(f"{check.name}: {check.message}" for check in report.checks if not check.passed)
    if report.errors:
        return _result(failures, details)
    if not passed:
        return _result(f"{unit.gate} left no pass marker in {unit.pass_marker}", details)
    if failures:
        return _result(failures, details, severity=dg.AssetCheckSeverity.WARN)
    return _result(f"all {len(report.checks)} checks passed", details, passed=True)


def outdated(result: dg.AssetCheckResult, reason: str) -> dg.AssetCheckResult:
    """A failed result in place of `result`, which is old: its gate should have run again and could not."""
    return _result(reason, {**result.metadata, FINGERPRINT: ""})


def _result(
    description: str,
    details: Metadata,
    passed: bool = False,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=CHECK, passed=passed, severity=severity, description=description, metadata=details
    )


def _fingerprint(root: Path, unit: Unit, data_version: str) -> str:
    assert unit.report and unit.pass_marker
    report, marker = root / unit.report, root / unit.pass_marker
    content = report.read_bytes() if report.exists() else b""
    parts = (data_version.encode(), content, bytes([marker.exists()]))
    return hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
