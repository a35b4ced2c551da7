"""What a gate imports of Great Expectations, and its pages."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd


def test_the_gate_waits_for_nothing_that_other_expectations_use() -> None:
    code = (
        "import sys, rectok.checks.expectations; print(*sys.modules);"
        "from scipy import stats; import altair; print(stats.norm.cdf(0), altair.Chart.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, used = done.stdout.splitlines()
    assert "great_expectations" in modules.split()
    assert not {"scipy.stats._stats_py", "altair.vegalite"} & set(modules.split())
    assert used == "0.5 Chart", "they still come when something uses them"


def test_pages_of_several_tables_hold_their_own_rows(tmp_path: Path) -> None:
    with warnings.catch_warnings():  # it imports deprecated modules of the standard library
        warnings.simplefilter("ignore", DeprecationWarning)
        gx = importlib.import_module("rectok.checks.expectations")

    def suite(column: str) -> list[Any]:
        once = gx.Expected("once", gx.unique(column=column), 1, 0, lambda row: f"{row[column]} again")
        return [
            once,
            gx.Expected("small", gx.between(column=column, max_value=3), 3, 3, lambda row: f"{row[column]} is large"),
        ]

    first, second = (
        list(gx.checks(table, suite(table.columns[0]), tmp_path / f"{table.columns[0]}.html"))
        for table in (pd.DataFrame({"red": [1, 1, 3]}), pd.DataFrame({"blue": [1, 2, 7]}))
    )
    assert [(check.passed, check.message) for check in first] == [(False, "1 again; 1 again"), (True, "")]
    assert [(check.passed, check.message) for check in second] == [(True, ""), (False, "7 is large")]
    pages = {name: (tmp_path / f"{name}.html").read_text() for name in ("red", "blue")}
    assert "blue" in pages["blue"] and "red</" not in pages["blue"]
    assert "red" in pages["red"] and "blue</" not in pages["red"]
