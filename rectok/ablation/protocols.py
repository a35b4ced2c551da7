"""Which rows of an ablation were measured alike: the fingerprints of their evaluations."""

from collections.abc import Mapping, Sequence

from rectok.ablation.spec import Spec
from rectok.ablation.workspace import Workspace
from rectok.artifacts import read_json
from rectok.errors import UserError
from rectok.evaluation.fingerprint import FINGERPRINT, fingerprint
from rectok.evaluation.metrics import column_metric
from rectok.reporting.summary import EVALUATIONS

Protocols = Mapping[str, Mapping[str, str]]
"""Row → evaluation stage → fingerprint, empty where a run has none; a row without a finished run is absent."""


def protocols(spec: Spec, workspaces: Sequence[Workspace]) -> Protocols:
    """The fingerprints of all finished rows. Raises UserError where the seeds of a row were measured differently."""
    runs: dict[str, list[Workspace]] = {row.name: [] for row in spec.rows}
    for workspace in workspaces:
        if workspace.done():
            runs[workspace.cell.row.name].append(workspace)
    return {row: _of_row(row, done) for row, done in runs.items() if done}


def _of_row(row: str, runs: Sequence[Workspace]) -> Mapping[str, str]:
    measured = [read_json(run.result)["metrics"]["protocol"] for run in runs]
    all_fingerprints = [{stage: items.get(FINGERPRINT, "") for stage, items in each.items()} for each in measured]
    for run, fingerprints in zip(runs, all_fingerprints, strict=True):
        if fingerprints != all_fingerprints[0]:
            raise UserError(
                f"row {row} has runs of different protocols, which have no mean: {runs[0].folder} and {run.folder}; remove "
                "the older one, and run the ablation again"
            )
    return all_fingerprints[0]


def of_row(protocols: Protocols, row: str) -> str:
    """One fingerprint of all evaluations of a row; empty where there is none."""
    fingerprints = protocols.get(row, {})
    return fingerprint(**fingerprints) if any(fingerprints.values()) else ""


def of_column(protocols: Protocols, row: str, column: str) -> str:
    """The fingerprint of the evaluation that measured `column` in `row`."""
    metric = column_metric(column)
    return protocols[row].get(metric.stage, "") if metric else ""


def alike(spec: Spec, protocols: Protocols) -> bool:
    """Whether the rows may be drawn as one line: they have one protocol, or they change it themselves, to compare."""
    return bool(_changed(spec)) or len({of_row(protocols, row) for row in protocols}) <= 1


def sentence(spec: Spec, protocols: Protocols) -> str:
    """What to know before rows are compared; empty where all have one protocol."""
    if not alike(spec, protocols):
        return "Rows of different protocols cannot be compared, so no line joins them."
    if len({of_row(protocols, row) for row in protocols}) > 1:
        return f"The rows differ in protocol because they compare values of {', '.join(_changed(spec))}."
    return ""


def _changed(spec: Spec) -> list[str]:
    """Parameters of evaluations that rows change."""
    names = {name for row in spec.rows for name in row.set}
    return sorted(name for name in names if name.partition(".")[0] in EVALUATIONS)
