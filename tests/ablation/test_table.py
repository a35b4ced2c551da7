"""Means and spreads over seeds, and what stands in an unfinished row."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rectok import artifacts
from rectok.ablation import report
from rectok.ablation.report import write_report
from rectok.ablation.spec import cells
from rectok.ablation.table import markdown, tabulate, value_of
from rectok.ablation.workspace import Workspace, prepare
from rectok.reporting.charts import Panel
from rectok.reporting.images import write_png
from tests.ablation.project import SPEC, build, finish
from tests.errors import user_error
from tests.project import write_params


@pytest.fixture
def project(here: Path) -> Path:
    build()
    return here


@pytest.fixture
def workspaces(project: Path) -> list[Workspace]:
    return [prepare("decoders", SPEC, cell) for cell in cells(SPEC)]


def test_mean_and_spread_are_those_of_the_seeds(workspaces: list[Workspace]) -> None:
    for workspace, psnr in zip(workspaces, (20.0, 30.0, 24.0, 30.5), strict=True):
        finish(workspace, psnr)
    table = tabulate(SPEC, workspaces)
    assert table["short"]["psnr"].mean == 22
    assert table["short"]["psnr"].spread == pytest.approx(math.sqrt(8))
    assert "| short | 22.00 ± 2.83 dB | 44.000 ± 5.657 | 25.0 ± 0.0% | 0, 1 |" in markdown(SPEC, table, {})


def test_an_unfinished_row_says_so_and_one_seed_has_no_spread(workspaces: list[Workspace]) -> None:
    finish(workspaces[0], 20.0)
    text = markdown(SPEC, tabulate(SPEC, workspaces), {})
    assert "| short | 20.00 dB | 40.000 | 25.0% | 0 |" in text
    assert "| long | not run | not run | not run | — |" in text


def test_the_report_holds_table_records_and_plot(project: Path, workspaces: list[Workspace]) -> None:
    finish(workspaces[0], 20.0)
    write_report("decoders", SPEC, workspaces, project / "out")
    names = sorted(path.relative_to(project / "out").as_posix() for path in (project / "out").rglob("*.*"))
    assert names == ["index.html", "plot.png", "table.json", "table.md"]
    record = artifacts.read_json(project / "out" / "table.json")["rows"]
    assert [row["row"] for row in record] == ["short"]
    assert record[0]["metrics"]["gfid"]["values"] == [40.0]


def test_a_grid_shows_the_guided_samples_of_every_row_that_is_done(project: Path, workspaces: list[Workspace]) -> None:
    grid = project / "out" / "samples.png"
    for workspace in workspaces[:2]:
        finish(workspace, 20.0)
    write_report("decoders", SPEC, workspaces, project / "out")
    assert not grid.exists()
    drawn = [workspace.folder / artifacts.stage_dir("generation") for workspace in workspaces[:2]]
    for folder, value in zip(drawn, (10, 20), strict=True):
        write_png(folder / "unguided.png", np.full((8, 8, 3), value, np.uint8))
    write_png(drawn[1] / "guided.png", np.full((8, 8, 3), 200, np.uint8))
    write_report("decoders", SPEC, workspaces, project / "out")
    with Image.open(grid) as picture:
        values = np.unique(np.asarray(picture.convert("RGB")))
    assert {10, 200} <= set(values.tolist()) and 20 not in values
    assert sorted(path.name for path in (project / "out").iterdir()) == [
        "index.html", "plot.png", "samples.png", "table.json", "table.md",
    ]  # fmt: skip


def test_the_speed_of_a_training_is_a_column(workspaces: list[Workspace]) -> None:
    spec = SPEC.model_copy(update={"columns": ("psnr", "images_per_second@dit", "images_per_second@decoder")})
    finish(workspaces[0], 20.0)
    record = artifacts.read_json(workspaces[0].result)
    record["metrics"]["images_per_second"] = {"dit": 1234.4}
    artifacts.write_json(workspaces[0].result, record)
    text = markdown(spec, tabulate(spec, workspaces), {})
    assert "| PSNR | Images/s, dit | Images/s, decoder |" in text and "| 20.00 dB | 1234 | — |" in text


def test_a_figure_that_a_run_lacks_is_a_dash_null_and_no_point(project: Path, workspaces: list[Workspace]) -> None:
    for workspace, figures in zip(workspaces[:3], ({"psnr": 20.0}, {"psnr": 30.0, "gfid": None}, {}), strict=True):
        found = {"params": workspace.params.read_text(), "metrics": {**figures, "protocol": {"generation": {}}}}
        artifacts.write_json(workspace.result, found)
    table = write_report("decoders", SPEC, workspaces, project / "out")
    assert "| short | 20.00 dB | — | — | 0, 1 |\n| long | 30.00 dB | — | — | 0 |" in markdown(SPEC, table, {})
    record = artifacts.read_json(project / "out" / "table.json")["rows"][0]["metrics"]
    assert record["psnr"] == {"values": [20.0, None], "seeds": [0, 1], "mean": 20.0, "spread": None}
    assert record["gfid"] == {"values": [None, None], "seeds": [0, 1], "mean": None, "spread": None}
    assert (project / "out" / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "lines,series",
    [(("", ""), [("", [1, 4], [[20.0], [30.0]])]), (("a", "b"), [("a", [1], [[20.0]]), ("b", [4], [[30.0]])])],
)
def test_rows_of_a_line_are_a_series_of_the_plot(
    lines: tuple[str, str], series: list[object], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Panel] = []
    monkeypatch.setattr(report, "panels_png", lambda panels: (drawn.extend(panels), b"")[1])
    rows = tuple(row.model_copy(update={"line": line}) for row, line in zip(SPEC.rows, lines, strict=True))
    spec = SPEC.model_copy(update={"rows": rows, "seeds": (0,)})
    workspaces = [prepare("decoders", spec, cell) for cell in cells(spec)]
    for workspace, psnr in zip(workspaces, (20.0, 30.0), strict=True):
        finish(workspace, psnr)
    write_report("decoders", spec, workspaces, project / "out")
    assert [(found.label, found.x, found.values) for found in drawn[0].series] == series
    assert drawn[0].names == []


def test_without_any_figure_there_is_no_plot(project: Path) -> None:
    workspace = prepare("decoders", SPEC, cells(SPEC)[0])
    artifacts.write_json(
        workspace.result, {"params": workspace.params.read_text(), "metrics": {"protocol": {"generation": {}}}}
    )
    write_report("decoders", SPEC, [workspace], project / "out")
    assert not (project / "out" / "plot.png").exists()


def test_targets_that_measure_nothing_are_told(project: Path) -> None:
    for targets, told in ((("gate@dit", "gate@probe"), False), (("gate@dit",), True)):
        write_report("decoders", SPEC.model_copy(update={"targets": targets}), [], project / "out")
        table = (project / "out" / "table.md").read_text()
        assert ("No target is an evaluation (reconstruction, probe, generation)" in table) is told


def test_a_target_that_is_asked_for_later_makes_a_run_undone(project: Path) -> None:
    workspace = prepare("decoders", SPEC, cells(SPEC)[0])
    finish(workspace, 20.0)
    more = SPEC.model_copy(update={"targets": ("gate@generation", "gate@probe")})
    assert workspace.done() and not prepare("decoders", more, cells(more)[0]).done()


def test_a_probe_elsewhere_is_none() -> None:
    assert value_of({"probe": [{"t": 0.5, "accuracy": 0.25}]}, "probe@0.5") == 0.25
    assert value_of({"probe": [{"t": 0.5, "accuracy": 0.25}]}, "probe@0.9") is None


def test_changed_parameters_make_a_run_undone(project: Path) -> None:
    workspace = prepare("decoders", SPEC, cells(SPEC)[0])
    finish(workspace, 20.0)
    assert workspace.done()
    write_params(project, {"autoguidance.training.epochs": 3})
    assert not prepare("decoders", SPEC, cells(SPEC)[0]).done()


def test_an_impossible_row_is_named_before_anything_runs(project: Path) -> None:
    rows = (SPEC.rows[0].model_copy(update={"set": {"image.size": 17}}),)
    spec = SPEC.model_copy(update={"rows": rows})
    with user_error(r"row short-s0 of ablation decoders: image\.size 17 is not a multiple"):
        prepare("decoders", spec, cells(spec)[0])
    assert not (project / "data" / "ablations").exists()


def test_a_folder_without_dvc_is_refused(project: Path) -> None:
    (project / ".dvc").rmdir()
    with user_error(r"has no \.dvc"):
        prepare("decoders", SPEC, cells(SPEC)[0])
