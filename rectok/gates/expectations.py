"""Great Expectations suites as checks. It takes eight seconds to import: for a gate's own process only."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rectok.artifacts import Check, Figure, Severity

# Before the import, which reads it: nothing is sent anywhere.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
from great_expectations import expectations

from rectok.gates.listing import listed

unique = expectations.ExpectColumnValuesToBeUnique
between = expectations.ExpectColumnValuesToBeBetween


@dataclass(frozen=True)
class Expected:
    """An expectation with the words for it: `value` was found, `limit` asked for, `blame` describes a row that breaks it."""

    name: str
    expectation: Any
    value: Figure
    limit: Figure
    blame: Callable[[Mapping[Any, Any]], str]
    severity: Severity = "ERROR"


def checks(table: pd.DataFrame, suite: Iterable[Expected]) -> Iterator[Check]:
    """Validate `table` against a suite; a message names the first rows that break it."""
    table = table.reset_index(drop=True)  # rows of a named index would be reported as dicts
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": table})
    for expected in suite:
        result = batch.validate(expected.expectation, result_format={"result_format": "COMPLETE"})
        rows = result.result.get("unexpected_index_list") or []
        passed = bool(result.success)
        message = "" if passed else _blame(table, rows, expected)
        yield Check(expected.name, passed, expected.severity, expected.value, expected.limit, message)


def _blame(table: pd.DataFrame, rows: Sequence[int], expected: Expected) -> str:
    return listed([expected.blame(row) for row in table.iloc[list(rows)].to_dict("records")])
