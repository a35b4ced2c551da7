"""One HTML file with every figure, curve, grid, gate and version."""

from rectok.artifacts import stage_dir
from rectok.params import Params
from rectok.params.loading import PARAMS_FILE
from rectok.reporting.report import write


def run(params: Params) -> None:
    """Write data/report/index.html, which opens without network."""
    write(stage_dir("report") / "index.html", params.preset, PARAMS_FILE.read_text(encoding="utf-8"))
