"""A pandera schema as a check."""

import pandas as pd
import pandera.pandas as pa

from rectok.artifacts import Check
from rectok.checks.bounds import holds, listed


def fits(name: str, table: pd.DataFrame, schema: pa.DataFrameSchema) -> Check:
    """Every column and row of `table` satisfies `schema`; the message names the first columns and rows that do not."""
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        return holds(name, False, listed([_case(case) for case in error.failure_cases.itertuples()]))
    return holds(name, True, "")


def _case(case: object) -> str:
    column, check, value, row = (getattr(case, name) for name in ("column", "check", "failure_case", "index"))
    if check == "column_in_dataframe":
        return f"column {value} is missing"
    if check == "column_in_schema":
        return f"column {value} is unknown"
    where = "" if row is None or pd.isna(row) else f" in row {int(row)}"
    return f"{column}{where} is {value!r}, which breaks {check}"
