"""Metrics of different protocols are in no mean and on no line."""

from pathlib import Path

import pytest

from rectok.ablation import report
from rectok.ablation.report import write_report
from rectok.ablation.spec import Spec, cells
from rectok.ablation.workspace import Workspace, prepare
from rectok.artifacts import read_json, write_json
from rectok.reporting.charts import Panel
from tests.ablation.project import SPEC, build, finish
from tests.errors import user_error

APART = "Rows of different protocols cannot be compared, so no line joins them."
GUIDED = SPEC.model_copy(
    update={
        "rows": tuple(
            row.model_copy(update={"set": {"generation.guidance.scale": row.x}, "name": f"scale{row.x:g}"})
            for row in SPEC.rows
        )
    }
)


@pytest.fixture
def panels(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[Panel]:
    build()
    drawn: list[Panel] = []

    def draw(panels: list[Panel]) -> bytes:
        drawn.extend(panels)
        return b""

    monkeypatch.setattr(report, "panels_png", draw)
    return drawn


def measured(spec: Spec, *fingerprints: str) -> list[Workspace]:
    """Finished runs whose generations have these fingerprints."""
    workspaces = [prepare("decoders", spec, cell) for cell in cells(spec)][: len(fingerprints)]
    for workspace, fingerprint in zip(workspaces, fingerprints, strict=True):
        finish(workspace, 20.0)
        record = read_json(workspace.result)
        record["metrics"]["protocol"]["generation"] = {"fingerprint": fingerprint}
        write_json(workspace.result, record)
    return workspaces


def test_rows_of_one_protocol_have_it_in_the_table_and_one_line(panels: list[Panel]) -> None:
    write_report("decoders", SPEC, measured(SPEC, "aa", "aa"), Path("out"))
    table = Path("out/table.md").read_text()
    header, _, *protocols = [line.split(" | ")[-1] for line in table.splitlines() if line.startswith("| ")]
    assert header == "Protocol |" and len(protocols) == 2 and len(set(protocols)) == 1
    assert APART not in table
    assert [series.x for series in panels[1].series] == [[1, 4]]
    assert read_json(Path("out/table.json"))["rows"][0]["protocol"] == {"generation": "aa"}


def test_rows_of_different_protocols_are_on_no_line_and_the_table_says_so(panels: list[Panel]) -> None:
    write_report("decoders", SPEC, measured(SPEC, "aa", "bb"), Path("out"))
    assert APART in Path("out/table.md").read_text() and APART in Path("out/index.html").read_text()
    psnr, gfid = panels[:2]  # psnr is of another evaluation
    assert [(series.label, series.x) for series in psnr.series] == [("", [1, 4])]
    assert [(series.label, series.x) for series in gfid.series] == [("aa", [1]), ("bb", [4])]


def test_rows_that_change_the_protocol_themselves_compare_its_values(panels: list[Panel]) -> None:
    write_report("decoders", GUIDED, measured(GUIDED, "aa", "bb"), Path("out"))
    assert "because they compare values of generation.guidance.scale." in Path("out/table.md").read_text()
    assert [series.x for series in panels[1].series] == [[1, 4]]


def test_seeds_of_different_protocols_have_no_mean(panels: list[Panel]) -> None:
    with user_error(r"row short has runs of different protocols.*short-s0 and .*short-s1; remove the older one"):
        write_report("decoders", SPEC, measured(SPEC, "aa", "aa", "bb"), Path("out"))
