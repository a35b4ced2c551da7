"""What a gate found, as Dagster's check sees it."""

import hashlib
from dataclasses import dataclass, replace
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
    """The result of one gate. It passes only if the gate's report and its verdict both say so.

    `fingerprint` tells it from results of other reports and of other artefacts.
    """

    passed: bool
    severity: AssetCheckSeverity
    description: str
    figures: dict[str, RawMetadataValue]
    fingerprint: str

    @property
    def metadata(self) -> dict[str, RawMetadataValue]:
        """What the check shows."""
        return {**self.figures, FINGERPRINT: self.fingerprint}


def read(root: Path, unit: Unit, data_version: str) -> Verdict:
    """The stored result of the gate of `unit`; a gate that left no report or no verdict has not passed."""
    assert unit.gate and unit.report and unit.verdict
    path, told = root / unit.report, _fingerprint(root, unit, data_version)
    kept: dict[str, RawMetadataValue] = {"command": f"dvc repro {unit.gate}"}
    if not path.exists():
        return Verdict(False, AssetCheckSeverity.ERROR, f"{unit.gate} left no report in {unit.report}", kept, told)
    report = read_report(path)
    kept |= {"report": MetadataValue.path(unit.report), "checks": _table(report.checks)}
    kept = {**{check.name: check.value for check in report.checks if check.value is not None}, **kept}
    sentence = "; ".join(f"{check.name}: {check.message}" for check in report.checks if not check.passed)
    if report.errors:
        return Verdict(False, AssetCheckSeverity.ERROR, sentence, kept, told)
    if not (root / unit.verdict).exists():
        return Verdict(False, AssetCheckSeverity.ERROR, f"{unit.gate} left no verdict in {unit.verdict}", kept, told)
    if sentence:
        return Verdict(False, AssetCheckSeverity.WARN, sentence, kept, told)
    return Verdict(True, AssetCheckSeverity.ERROR, f"all {len(report.checks)} checks passed", kept, told)


def not_run(verdict: Verdict, reason: str) -> Verdict:
    """`verdict` is an old one: its gate should have run again and could not."""
    return replace(verdict, passed=False, severity=AssetCheckSeverity.ERROR, description=reason, fingerprint="")


def _fingerprint(root: Path, unit: Unit, data_version: str) -> str:
    assert unit.report and unit.verdict
    report, verdict = root / unit.report, root / unit.verdict
    content = report.read_bytes() if report.exists() else b""
    parts = (data_version.encode(), content, bytes([verdict.exists()]))
    return hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()


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
