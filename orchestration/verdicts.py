"""What a gate found, as Dagster's check sees it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dagster import AssetCheckSeverity, MetadataValue, TableMetadataValue, TableRecord
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.graph import Unit
from rectok.artifacts import Check, read_report

CHECK = "gate"
FINGERPRINT = "fingerprint"
"""Metadata entry that tells two results of a check apart."""


@dataclass(frozen=True)
class Verdict:
    """The result of one gate. It passes only if the gate's report and its verdict both say so."""

    passed: bool
    severity: AssetCheckSeverity
    description: str
    metadata: dict[str, RawMetadataValue]


def failed(description: str, metadata: dict[str, RawMetadataValue] | None = None) -> Verdict:
    """A result that stops what comes next."""
    return Verdict(False, AssetCheckSeverity.ERROR, description, metadata or {})


def read(root: Path, unit: Unit) -> Verdict:
    """The stored result of the gate of `unit`; a gate that left no report or no verdict has not passed."""
    assert unit.gate and unit.report and unit.verdict
    kept: dict[str, RawMetadataValue] = {"command": f"dvc repro {unit.gate}", FINGERPRINT: fingerprint(root, unit)}
    path = root / unit.report
    if not path.exists():
        return failed(f"{unit.gate} left no report in {unit.report}", kept)
    report = read_report(path)
    kept |= {"report": MetadataValue.path(unit.report), "checks": _table(report.checks)}
    kept |= {check.name: check.value for check in report.checks if check.value is not None}
    sentence = "; ".join(f"{check.name}: {check.message}" for check in report.checks if not check.passed)
    if report.errors:
        return failed(sentence, kept)
    if not (root / unit.verdict).exists():
        return failed(f"{unit.gate} left no verdict in {unit.verdict}", kept)
    if sentence:
        return Verdict(False, AssetCheckSeverity.WARN, sentence, kept)
    return Verdict(True, AssetCheckSeverity.ERROR, f"all {len(report.checks)} checks passed", kept)


def fingerprint(root: Path, unit: Unit) -> str:
    """A hash of the gate's report and of whether it gave its verdict."""
    assert unit.report and unit.verdict
    report, verdict = root / unit.report, root / unit.verdict
    content = report.read_bytes() if report.exists() else b""
    return hashlib.md5(content + bytes([verdict.exists()]), usedforsecurity=False).hexdigest()


def _table(checks: tuple[Check, ...]) -> TableMetadataValue:
    return MetadataValue.table(
        [
            TableRecord(
                {
                    "check": check.name,
                    "passed": check.passed,
                    "severity": check.severity,
                    "value": str(check.value),
                    "limit": str(check.limit),
                    "message": check.message,
                }
            )
            for check in checks
        ]
    )
