"""Where the artefacts come from: commit, data versions, gate reports. No torch here."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from rectok.artifacts import DATA, STAGES, GateReport, read_report
from rectok.pipeline.lock import read


@dataclass(frozen=True)
class Version:
    """One output of the pipeline, and the md5 and the code version that dvc.lock records for it."""

    path: str
    md5: str
    code: int | None = None


def git_commit() -> str:
    """The commit of the working directory, marked where files differ from it; in words where there is none."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return "not in a git repository, or nothing committed yet"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{commit} with uncommitted changes" if changed else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def git_user() -> str:
    """Name and address that git would sign a commit with; empty where it knows none."""
    name, address = _git("config", "user.name"), _git("config", "user.email")
    return f"{name} <{address}>" if name and address else name or ""


def data_versions() -> list[Version]:
    """The outputs that dvc.lock records, in the pipeline's order; empty where nothing was run through DVC."""
    versions = [Version(out.path, out.md5, record.code_version) for record in read().values() for out in record.outs]
    artefacts = [version for version in versions if not version.path.startswith(("data/checks", "data/passed"))]
    stages = {stage: position for position, stage in enumerate(STAGES)}
    return sorted(artefacts, key=lambda each: (stages.get(Path(each.path).parts[1], len(STAGES)), each.path))


def gate_reports() -> list[GateReport]:
    """The reports of all gates that have run, in the pipeline's order, except the report's own."""
    paths = (DATA / "checks").rglob("*.json")
    reports = [read_report(path) for path in paths if path.name != "report.json"]
    return sorted(reports, key=lambda report: (STAGES.index(report.gate), report.shard or ""))
