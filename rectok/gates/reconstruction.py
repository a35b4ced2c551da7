"""The reconstruction figures must be complete, possible, and good enough."""

from collections.abc import Iterator

import pandas as pd
import pandera.pandas as pa

from rectok.artifacts import Check
from rectok.checks.bounds import at_least, at_most, holds
from rectok.checks.tables import fits
from rectok.evaluation.records import read_record
from rectok.params import Params

SHARE = pa.Check.in_range(0, 1)
SCHEMA = pa.DataFrameSchema(
    {
        "psnr": pa.Column(float, pa.Check.in_range(0, 100)),
        "ssim": pa.Column(float, pa.Check.in_range(-1, 1)),
        "lpips": pa.Column(float, pa.Check.ge(0), nullable=True),  # there may be no weights for it
        "rfid": pa.Column(float, pa.Check.ge(0)),
        "metric_network_accuracy": pa.Column(float, SHARE, nullable=True),
        "reconstruction_accuracy": pa.Column(float, SHARE, nullable=True),
    },
    coerce=True,
)


def check(params: Params) -> Iterator[Check]:
    """Checks of data/reconstruction."""
    limits, record = params.gates.reconstruction, read_record("reconstruction")
    complete = fits("schema", pd.DataFrame([record.figures]), SCHEMA)
    yield complete
    yield holds("networks", record.networks.keys() == record.figures.keys(), "a figure lacks the name of its network")
    if complete.passed:
        yield at_least("psnr", record.figures["psnr"], limits.min_psnr, "PSNR of held-out images (dB)")
        yield at_most("rfid", record.figures["rfid"], limits.max_rfid, "rFID of held-out images")
