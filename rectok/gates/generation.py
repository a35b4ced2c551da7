"""The figures of the samples must be complete, possible, and good enough."""

from collections.abc import Iterator

import pandas as pd
import pandera.pandas as pa

from rectok.artifacts import Check
from rectok.checks.bounds import at_least, at_most, holds
from rectok.checks.tables import fits
from rectok.evaluation.records import read_record
from rectok.params import Params

LIMITS = {
    "gfid": pa.Check.ge(0),
    "kid": pa.Check.ge(-1),
    "inception_score": pa.Check.ge(1),
    "inception_score_std": pa.Check.ge(0),
    "precision": pa.Check.in_range(0, 1),
    "recall": pa.Check.in_range(0, 1),
    "sample_accuracy": pa.Check.in_range(0, 1),
}
SCHEMA = pa.DataFrameSchema(
    {
        "gfid_floor": pa.Column(float, pa.Check.ge(0)),
        **{
            f"{name}{suffix}": pa.Column(
                float, limit, nullable=name == "sample_accuracy"
            )  # a metric network may know no labels
            for suffix in ("", "_guided")
            for name, limit in LIMITS.items()
        },
    },
    coerce=True,
)


def check(params: Params) -> Iterator[Check]:
    """Checks of data/generation."""
    limits, record = params.gates.generation, read_record("generation")
    figures = record.figures
    complete = fits("schema", pd.DataFrame([figures]), SCHEMA)
    yield complete
    yield holds("networks", record.networks.keys() == figures.keys(), "a figure lacks the name of its network")
    if complete.passed:
        what = "the share of samples whose label the metric network recognises"
        for suffix, minimum in (("", limits.min_accuracy), ("_guided", limits.min_accuracy_guided)):
            found = figures[f"sample_accuracy{suffix}"]
            if found is not None:
                yield at_least(f"sample accuracy{suffix}".replace("_", " "), found, minimum, what)
        yield at_most("gfid", figures["gfid"], limits.max_gfid, "gFID of unguided samples")
