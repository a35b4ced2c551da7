"""The probe must have been asked at the right times, and labels must survive in x_t."""

from collections.abc import Iterator

import pandas as pd
import pandera.pandas as pa

from rectok.artifacts import Check
from rectok.checks.bounds import at_least, holds
from rectok.checks.tables import fits
from rectok.errors import UserError
from rectok.evaluation.records import read_record
from rectok.params import Params

SHARE = pa.Check.in_range(0, 1)
SCHEMA = pa.DataFrameSchema(
    {
        "t": pa.Column(float, pa.Check.in_range(0, 1, include_max=False), unique=True),
        "accuracy": pa.Column(float, SHARE),
    },
    coerce=True,
)
SEMANTIC = pa.DataFrameSchema({"semantic_accuracy": pa.Column(float, SHARE)}, coerce=True)


def check(params: Params) -> Iterator[Check]:
    """Checks of data/probe."""
    limits, record = params.gates.probe, read_record("probe")
    table = pd.DataFrame(record.figures["probe"])
    complete = fits("schema", table, SCHEMA)
    yield complete
    semantic = pd.DataFrame([record.figures], columns=["semantic_accuracy"])
    yield fits("semantic schema", semantic, SEMANTIC)
    yield holds("networks", record.networks.keys() == record.figures.keys(), "a figure lacks the name of its network")
    if complete.passed:
        at = table.loc[table["t"] == limits.at, "accuracy"]
        if at.empty:
            raise UserError(
                f"gates.probe.at is {limits.at:g}, but probe.times holds {', '.join(f'{t:g}' for t in table['t'])}"
            )
        yield at_least(f"accuracy at t = {limits.at:g}", float(at.iloc[0]), limits.min_accuracy, "probe accuracy")
