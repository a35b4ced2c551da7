"""What a gate found, as Dagster's check sees it."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dagster import AssetCheckSeverity, MetadataValue, TableMetadataValue
from dagster._core.definitions.metadata import RawMetadataValue

from orchestration.assets.metadata import table
from orchestration.assets.pictures import pictures
from orchestration.graph.model import Unit
from rectok.artifacts import Check, docs_dir, read_report

CHECK = "gate"
FINGERPRINT = "fingerprint"
"""Metadata entry that tells two results of a check apart."""
PICTURES = 2
"""How many of the artefact's pictures are shown beside its figures; all are on the artefact itself."""
COLUMNS = {
    "check": "what was looked at",
    "passed": "whether it holds",
    "severity": "ERROR stops what comes next, WARN stops nothing",
    "value": "what was found",
    "limit": "what was asked for",
    "message": "what is wrong, and what would be right",
}


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
    pages = docs_dir(report.gate) / "index.html"
    if (root / pages).exists():
        kept["pages"] = MetadataValue.path(str(root / pages))
    kept = {**{check.name: check.value for check in report.checks if check.value is not None}, **kept}
    kept |= pictures([path for out in unit.outs for path in (root / out).glob("*.png")], PICTURES)
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
    # Values and limits are numbers for one check and words for the next.
    records = [
        {**asdict(check), "check": check.name, "value": str(check.value), "limit": str(check.limit)} for check in checks
    ]
    return table(COLUMNS, [{name: record[name] for name in COLUMNS} for record in records])
