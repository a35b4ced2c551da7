"""Great Expectations suites as checks.

The package has no smaller part to import: its root imports every expectation, with scipy.stats, Altair, SQLAlchemy and requests.
What only its other expectations use waits here. The rest takes a second and a half of a core, for a gate's own process only.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from rectok.artifacts import Check, CheckValue, Relation, Severity
from rectok.checks.bounds import listed
from rectok.checks.waiting_imports import waiting
from rectok.files import write_text

# Before the import, which reads it: nothing is sent anywhere.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

with waiting("scipy.stats", "altair"):
    import great_expectations as gx
    from great_expectations import expectations
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

unique = expectations.ExpectColumnValuesToBeUnique
between = expectations.ExpectColumnValuesToBeBetween


@dataclass(frozen=True)
class Expected:
    """An expectation with the words for it: `value` was found, `limit` asked for, `blame` describes a row that breaks it."""

    name: str
    expectation: Any
    value: CheckValue
    limit: CheckValue
    blame: Callable[[Mapping[Any, Any]], str]
    severity: Severity = "ERROR"
    relation: Relation = "="


def checks(table: pd.DataFrame, suite: Iterable[Expected], page: Path) -> Iterator[Check]:
    """Validate `table` against a suite, and keep its Data Docs as `page`; a message names the first rows that break it."""
    table = table.reset_index(drop=True)  # rows of a named index would be reported as dicts
    batch = _any_table().get_batch({"dataframe": table})
    results = []
    for expected in suite:
        result = batch.validate(expected.expectation, result_format={"result_format": "COMPLETE"})
        results.append(result)
        rows = table.iloc[list(result.result.get("unexpected_index_list") or [])].to_dict("records")
        passed = bool(result.success)
        message = "" if passed else listed([expected.blame(row) for row in rows])
        yield Check(
            expected.name, passed, expected.severity, expected.value, expected.limit, message, expected.relation
        )
    write_text(page, _data_docs(page.stem, results))


@cache
def _any_table() -> Any:
    """What makes a batch of a table. Great Expectations writes its whole configuration as YAML for each, so there is one."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("whole")


@cache
def _view() -> DefaultJinjaPageView:
    """The templates of Data Docs, which every view compiles anew."""
    return DefaultJinjaPageView()


def _data_docs(name: str, results: Sequence[Any]) -> str:
    """The page that Great Expectations makes of its results."""
    met = sum(bool(result.success) for result in results)
    counts = {
        "evaluated_expectations": len(results),
        "successful_expectations": met,
        "unsuccessful_expectations": len(results) - met,
        "success_percent": 100 * met / len(results),
    }
    suite = ExpectationSuiteValidationResult(
        success=met == len(results),
        results=list(results),
        suite_name=name,
        statistics=counts,
        meta={"great_expectations_version": gx.__version__},
    )
    return str(_view().render(ValidationResultsPageRenderer().render(suite)))
