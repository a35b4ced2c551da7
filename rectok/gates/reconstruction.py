"""The metrics of reconstructions must be complete, possible, and good enough."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.bounds import at_least, at_most
from rectok.checks.metric_schema import record_checks
from rectok.evaluation.metrics import read_record
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/reconstruction."""
    limits, record = params.gates.reconstruction, read_record("reconstruction")
    if (yield from record_checks("reconstruction", record)):
        yield at_least("psnr", record.metrics["psnr"], limits.min_psnr, "PSNR of held-out images (dB)")
        yield at_most("rfid", record.metrics["rfid"], limits.max_rfid, "rFID of held-out images")
