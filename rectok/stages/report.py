"""One HTML file with every figure, curve, grid, gate and version."""

from rectok.artifacts import stage_dir
from rectok.files import write_text
from rectok.params import Params
from rectok.params.loading import PARAMS_FILE
from rectok.reporting.report import render


def run(params: Params) -> None:
    """Write data/report/index.html, which opens without network."""
    page = render(params.preset, PARAMS_FILE.read_text(encoding="utf-8"))
    write_text(stage_dir("report") / "index.html", page)
