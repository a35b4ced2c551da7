"""An ablation of two rows and two seeds, and what a finished run of it leaves."""

from pathlib import Path
from typing import Any

from rectok import artifacts
from rectok.ablation.spec import Spec
from rectok.ablation.workspace import Workspace
from rectok.pipeline.code_versions import read_versions
from tests.project import write_params

SPEC = Spec.model_validate(
    {
        "title": "Decoders",
        "claim": "Longer is better.",
        "shared": (),
        "targets": ("gate@generation",),
        "seeds": (0, 1),
        "set": {},
        "columns": ("psnr", "gfid", "probe@0.5"),
        "rows": (
            {"name": "short", "title": "short", "set": {"decoder.training.epochs": 1}, "x": 1},
            {"name": "long", "title": "long", "set": {"decoder.training.epochs": 4}, "x": 4},
        ),
    }
)


def build() -> None:
    """Make the current folder a project that an ablation can be prepared in."""
    write_params(Path.cwd())
    Path(".dvc").mkdir()
    Path("dvc.yaml").write_text("stages: {}\n")


def finish(workspace: Workspace, psnr: float) -> None:
    """Leave the figures of a run, all of which follow from `psnr`."""
    figures: dict[str, Any] = {"psnr": psnr, "gfid": 2 * psnr, "probe": [{"t": 0.5, "accuracy": 0.25}]}
    figures["protocol"] = {"generation": {}}
    record = {"params": workspace.params.read_text(), "versions": read_versions(), "metrics": figures}
    artifacts.write_json(workspace.result, record)
