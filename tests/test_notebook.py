"""docs/notebooks/quickstart.ipynb runs as it stands, and its page in the documentation has the same cells."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image

from rectok.artifacts import stage_dir
from rectok.tokenizer.kinds import load_tokenizer
from tests.evaluation import project
from tests.networks import drawn, keep

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    notebook = json.loads((FOLDER / "quickstart.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [{**cell, "source": "".join(cell["source"])} for cell in notebook["cells"]]


def executed(source: str, scope: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line if that is an expression, as a notebook shows it."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        exec(compile(source, "<cell>", "exec"), scope)
        return None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), scope)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), scope)


def test_every_cell_runs_and_shows_what_the_notebook_shows(
    cells: list[dict[str, Any]], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.build()
    project.build_evaluation()
    keep("decoder", drawn(load_tokenizer(stage_dir("decoder")), 0.3))
    monkeypatch.chdir(stage_dir("dit"))  # Jupyter starts below the project
    scope: dict[str, Any] = {}
    shown = 0
    for cell in cells:
        if cell["cell_type"] == "code":
            value = executed(cell["source"], scope)
            kinds = {kind for output in cell["outputs"] for kind in output["data"]}
            assert (value is not None) == bool(kinds) and isinstance(value, Image) == ("image/png" in kinds)
            shown += isinstance(value, Image) and len(value.getcolors(1 << 24) or []) > 2
    assert shown == 3


def test_the_page_has_the_same_cells_and_outputs(cells: list[dict[str, Any]]) -> None:
    page = (FOLDER / "quickstart.md").read_text(encoding="utf-8")
    place = 0
    for cell in cells:
        text = cell["source"] if cell["cell_type"] == "markdown" else f"```python\n{cell['source']}\n```"
        for output in cell.get("outputs", ()):
            plain = "".join(output["data"]["text/plain"])
            text += (
                "\n\n![output of the cell above](" if "image/png" in output["data"] else f"\n\n```text\n{plain}\n```"
            )
        assert text in page[place:]
        place = page.index(text, place) + len(text)
