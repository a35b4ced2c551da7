"""Rows through the real DVC and the pipeline's own reconstruction and gate, on networks that nobody trained."""

import json
import shutil
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rectok.ablation import runner as running
from rectok.ablation.spec import cells
from rectok.ablation.workspace import Workspace, prepare
from rectok.artifacts import read_json
from tests.ablation.project import SPEC, build
from tests.command import must, run
from tests.evaluation import project

REPOSITORY = Path(__file__).parents[2]
ABLATION = """
title: Rounding
claim: Truncating changes the PSNR.
shared: [networks]
targets: [gate@reconstruction]
seeds: [0]
set: {gates.reconstruction.max_rfid: 1e9, gates.reconstruction.min_psnr: 0.0}
columns: [psnr, gfid, probe@0.5]
rows:
  - {name: round, title: round, set: {}}
  - {name: truncate, title: truncate, set: {reconstruction.rounding: truncate, gates.reconstruction.min_psnr: LIMIT}}
"""


def write_pipeline(folder: Path) -> None:
    """The project's stage `reconstruction` and its gate, after one that brings all that they need."""
    stages = YAML(typ="safe", pure=True).load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    deps = [path for path in stages["reconstruction"]["deps"] if not path.startswith("data/passed")]
    kept = {
        "networks": {"cmd": f"cp -r {folder}/made/data .", "outs": deps},
        "reconstruction": {**stages["reconstruction"], "deps": deps},
        "gate": {**stages["gate"], "foreach": ["reconstruction"]},
    }
    (folder / "dvc.yaml").write_text(json.dumps({"stages": kept}))
    shutil.copy(REPOSITORY / "versions.yaml", folder)
    shutil.copy(REPOSITORY / ".gitignore", folder)  # git ignores data/, so DVC adds no .gitignore to folders there


def test_a_row_that_shares_trainings_starts_when_those_are_done(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build()
    told: list[str] = []

    def slowly(workspace: Workspace, *_: object) -> None:
        told.append(f"{workspace.cell.name} starts")
        time.sleep(0.1)
        told.append(f"{workspace.cell.name} ends")

    monkeypatch.setattr(running, "_run", slowly)
    first, second = SPEC.rows
    spec = SPEC.model_copy(update={"rows": (first.model_copy(update={"after": "long"}), second), "seeds": (0,)})
    workspaces = [prepare("decoders", spec, cell) for cell in cells(spec)]
    running.run_all(workspaces, spec.targets, ["0", "1", "2"], lambda _: None)
    assert told == ["long-s0 starts", "long-s0 ends", "short-s0 starts", "short-s0 ends"]


def test_several_stages_at_once_are_made_by_rectok_repro_and_one_by_dvc() -> None:
    assert running.repro(["gate@dit"], 1) == ("dvc", "--wait-for-lock", "repro", "gate@dit")
    command = ("rectok", "repro", "gate@dit", "--jobs", "3", "--on-accelerator", "3")
    assert running.repro(["gate@dit"], 3) == command


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_ablation_reruns_only_what_a_row_changes_and_goes_on_after_a_failure(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pipeline(here)
    project.params()
    must(here, "git", "init", "--quiet")
    must(here, "dvc", "init", "--quiet")
    with monkeypatch.context() as patch:
        (here / "made").mkdir()
        patch.chdir(here / "made")
        project.build_shards()
        project.build_metric_network()
        project.build_models()
    must(here, "dvc", "repro", "reconstruction")

    file, report = here / "rounding.yaml", here / "data" / "ablations" / "rounding"
    timings = {name: report / f"{name}-s0" / "data" / "timings" for name in ("round", "truncate")}
    file.write_text(ABLATION.replace("LIMIT", "99.0"))
    failed = run(here, "rectok", "ablate", str(file))
    printed = failed.stdout + failed.stderr
    assert failed.returncode and "truncate-s0 failed: gate reconstruction failed" in printed
    assert "1 of 2 runs failed (truncate-s0)" in printed
    assert {path.stem for path in timings["round"].iterdir()} == {"gate-reconstruction"}  # the rest was cached
    assert {path.stem for path in timings["truncate"].iterdir()} == {"reconstruction"}  # a failed gate has no time
    assert "| truncate | not run |" in (report / "table.md").read_text()

    times = {path: path.stat().st_mtime_ns for path in report.glob("*/data/timings/*")}
    file.write_text(ABLATION.replace("LIMIT", "0.0"))
    assert "1 of 2 runs are done" in must(here, "rectok", "ablate", str(file), "--jobs", "2")
    assert {path for path in report.glob("*/data/timings/*") if path.stat().st_mtime_ns != times.get(path)} == {
        timings["truncate"] / "gate-reconstruction.json"
    }

    rounded, truncated = (row["metrics"] for row in read_json(report / "table.json")["rows"])
    assert truncated["psnr"]["mean"] != rounded["psnr"]["mean"]
    assert truncated["gfid"]["mean"] is truncated["probe@0.5"]["mean"] is None  # no target brings them
    assert " dB | — | — |" in (report / "table.md").read_text()
    assert (report / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (report / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert "2 of 2 runs are done" in must(here, "rectok", "ablate", str(file))
